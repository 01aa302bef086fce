#!/bin/sh
# Makes every golden again and compares it with tests/golden; with --update, puts it there instead.
# Needs Python 3.11 and nothing else. The goldens of the full files are made only where TIDEGATE_DATA points at them.
set -eu
mode=${1:-compare}
here=$(CDPATH= cd -- "$(dirname "$0")" && pwd)
golden=$here/../golden
data=$here/../data
retail=$data/online-retail-2010-12-01-to-08.csv.gz
moers=$data/moers-2016-10-24.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
made=$work/golden
mkdir "$made"
export PYTHONDONTWRITEBYTECODE=1

# The executable model of laws 12, 18 and 19 against an oracle that sees everything first.
python3 "$here/asof_check.py" --seeds 300 >"$work/model" || { cat "$work/model" >&2; exit 1; }

oracle() { python3 "$here/$1.py" $2 "$3" "$4" --out "$made/$5" $6; }

oracle retail totals --file "$retail" retail-excerpt/totals ""
oracle retail discount --file "$retail" retail-excerpt/discount-2010-12-01 "--date 2010-12-01"
oracle moers over --file "$moers" moers-excerpt ""

mkdir -p "$made/invoices-derivative" "$made/readings-derivative"
input=$made/invoices-derivative/input.jsonl.gz
python3 "$here/derive.py" invoices --file "$retail" --seed 1 --out "$input"
for options in "5000 5000 0" "5000 5000 2000" "10000 5000 2000"; do
    set -- $options
    oracle retail totals --dump "$input" "invoices-derivative/size-$1-advance-$2-grace-$3" \
        "--size $1 --advance $2 --grace $3"
done
oracle retail discount --dump "$input" invoices-derivative/discount-2010-12-01 "--date 2010-12-01"

input=$made/readings-derivative/input.jsonl.gz
python3 "$here/derive.py" readings --file "$moers" --seed 1 --out "$input"
oracle moers infractions --dump "$input" readings-derivative/speeding ""

mkdir -p "$made/corrections"
input=$made/corrections/input.jsonl.gz
python3 "$here/derive.py" corrections --file "$moers" --seed 1 --out "$input"
oracle moers in-force --dump "$input" corrections/speeding ""

if [ -n "${TIDEGATE_DATA:-}" ]; then
    oracle retail totals --file "$TIDEGATE_DATA/online-retail.csv.gz" retail-full/totals ""
    oracle retail discount --file "$TIDEGATE_DATA/online-retail.csv.gz" retail-full/discount-2011-10-30 \
        "--date 2011-10-30"
    oracle moers over --file "$TIDEGATE_DATA/moers-roemerstrasse-30kmh.txt" moers-full ""
fi

cd "$made"
find . -type f | sort > "$work/list"
status=0
while read -r file; do
    if [ "$mode" = --update ]; then
        mkdir -p "$golden/$(dirname "$file")"
        cp "$file" "$golden/$file"
    elif [ ! -f "$golden/$file" ]; then
        echo "missing: tests/golden/$file" >&2
        status=1
    else
        # Packed bytes may differ between versions of zlib: what is in them may not.
        case $file in
        *.gz) gzip -dc "$file" > "$work/a"; gzip -dc "$golden/$file" > "$work/b" ;;
        *) cp "$file" "$work/a"; cp "$golden/$file" "$work/b" ;;
        esac
        cmp -s "$work/a" "$work/b" || { echo "differs: tests/golden/$file" >&2; status=1; }
    fi
done < "$work/list"
exit $status
