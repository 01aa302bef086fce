#!/bin/sh
# Cuts the excerpts of this folder out of the full files: make-excerpts.sh DIRECTORY-OF-THE-FULL-FILES
# Lines are taken as they stand, so that an excerpt is checked against its origin with grep.
set -eu
from=${1:?usage: make-excerpts.sh DIRECTORY}
to=$(dirname "$0")

grep -a '^24\.10\.16 ' "$from/moers-roemerstrasse-30kmh.txt" > "$to/moers-2016-10-24.txt"

# No field of the file holds a line break, so lines are records. -n leaves out name and time: the same bytes each time.
gzip -dc "$from/online-retail.csv.gz" |
    grep -a -E '^InvoiceNo,|,2010-12-0[1-8] [0-9:]{8},' |
    gzip -9 -n > "$to/online-retail-2010-12-01-to-08.csv.gz"
