echo 1 > f; cp $CASE/Dockerfile One; sed s/root/0/ One > Two
