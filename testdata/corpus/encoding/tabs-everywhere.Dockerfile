	
FROM	alpine:3.20	AS	base
	# an indented comment
	RUN	set -e;	\
		echo	"tab	in text";	\
		true
ENV	A=1	B=2	\
	C=3
	COPY	a.txt		b.txt	/dest/
LABEL	x="1"	y='2	3'
EXPOSE	80	443/tcp
CMD	["echo",	"tabs"]
