FROM alpine:3.20
RUN echo one && \
    echo two && \
# a comment at column zero
    echo three && \
    # an indented comment
	# one after a tab

    echo four && \   
    echo "a trailing backslash \\ in quotes" && \
    echo 'five \
six' && \
    echo seven
ENV LONG=a\
b\
c OTHER=d
LABEL one=1 \
      # between pairs
      two=2 \
      three="3 \
still three"
COPY a \
     b \
     c \
     /dest/
EXPOSE 80 \
       443
CMD [ "echo", \
      "json", \
      # a comment in JSON
      "array" ]
