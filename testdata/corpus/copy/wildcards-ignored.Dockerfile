FROM alpine:3.20
WORKDIR /in
COPY *.txt ./
COPY dir/* dir2/
COPY dir/*/config.?ml config/
COPY ./relative/../normal.txt ../sibling/
COPY / /everything/
COPY . .
COPY .[a-z]* dots/
COPY a/b/c /x/y/z/
COPY dest-without-slash /target
COPY from/. to/.
ADD *.tar.gz ./archives/
COPY "quoted.txt" 'single.txt' q/
COPY ["blank in name.txt", "e/"]
