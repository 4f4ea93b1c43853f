package hello

func Greeting() string { return "hello" }
