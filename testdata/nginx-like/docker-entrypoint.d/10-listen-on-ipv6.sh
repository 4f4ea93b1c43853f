#!/bin/sh
echo "listening on IPv6, too"
