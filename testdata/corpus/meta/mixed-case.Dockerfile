From alpine:3.20 As Builder
Run echo mixed > /x
fRoM scratch
Copy --from=BUILDER /x /x
cOpY --from=builder /x /y
Cmd ["/x"]
