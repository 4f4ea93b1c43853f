FROM alpine:3.20
RUN sh -c 'echo "level 1: '"'"'level 2: \"level 3: $(echo '"'"'"'"'"'"'"'"'deep'"'"'"'"'"'"'"'"')\"'"'"'"'
RUN echo "a \"b \\\"c \\\\\\\"d\\\\\\\" \\\" \" e"
RUN awk 'BEGIN { printf "%s %s\n", "it'\''s", "\"fine\"" }'
RUN echo '{"json": {"nested": "va\"lue", "list": ["a", '"$(printf '"%s"' "$HOME")"']}}' > /etc/app.json
RUN eval "$(printf 'x=%s; echo "${x:-"a b"}"' "'1 2'")"
ENV A="double \"inner\" \$NOT" \
    B='single "inner" $NOT' \
    C=plain\ with\ blanks \
    D="mix"'ed '"${A}"\ end \
    E=
LABEL "key with blanks"="value with \
continuation" other='x=y=z' third=a\"b
RUN ["sh", "-c", "echo \"$A\" '$B' \\\\ \u00e9 \t."]
CMD ["sh", "-c", "echo \"${A:-\"unset\"}\""]
