module example.org/hello

go 1.25

require example.org/router v1.4.2
