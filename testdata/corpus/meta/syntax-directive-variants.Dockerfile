#   Syntax =  docker/dockerfile:1.7-labs  
#escape=\
# CHECK=error=false
# an ordinary comment ends the directives
# escape=`
FROM alpine:3.20
RUN echo "the escape is still \
a backslash"
