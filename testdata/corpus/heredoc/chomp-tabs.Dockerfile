FROM alpine:3.20
RUN <<-EOF
	if true; then
		echo "tabs are gone"
	fi
	EOF
RUN <<-"QUOTED" sh -eux
		printf '%s\n' "$0"
	QUOTED
COPY <<-A <<-B /tmp/
	alpha
		beta
	A
	gamma
	B
ONBUILD RUN <<-EOF
	echo "from a trigger"
	EOF
ENTRYPOINT ["cat"]
CMD ["/tmp/A", "/tmp/B"]
