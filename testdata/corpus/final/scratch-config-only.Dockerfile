FROM scratch
LABEL purpose="no layers at all"
ENV A=1
CMD ["/nothing"]
