package main

import "example.org/hello/internal/hello"

var version = "dev"

func main() { println(hello.Greeting(), version) }
