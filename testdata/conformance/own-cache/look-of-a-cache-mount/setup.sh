cp $CASE/Dockerfile One; sed 's/mode=755/mode=700/; s/shared/locked/' One > Two
