#!/bin/sh
echo "workers: $(nproc)"
