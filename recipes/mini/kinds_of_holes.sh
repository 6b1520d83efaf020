#!/bin/sh
# Measures a model by kind of hole on held-out projects, infilling beside left to right, with paired intervals. Goes on
# where it was stopped.
#   recipes/mini/kinds_of_holes.sh HELD_OUT OUTPUT [MODEL [LIMIT]]
# HELD_OUT holds the projects of held-out.txt, installed as its first lines say; LIMIT is the number of holes of each kind.
# Left to right is given the length of the missing text. A hole has about 1,500 characters before it and half of that
# after it. To compare two models: incoder eval report OUTPUT/*-infill OTHER/*-infill
set -eu
held_out=$1 output=$2 model=${3:-mini} limit=${4:-300}

for kind in mid-line single-line block-opener argument name multi-line docstrings; do
  [ -e "$output/data/$kind.jsonl" ] ||
    incoder eval build "$kind" --from "$held_out" --limit 300 --seed 19 --context 1500 --output "$output/data"
  for method in infill left-to-right; do
    defaults=
    [ "$method" = left-to-right ] || defaults=--defaults
    incoder eval "$kind" --data "$output/data/$kind.jsonl" --model "$model" --method "$method" --limit "$limit" \
      $defaults --output "$output/$kind-$method"
  done
done
incoder eval report "$output"/*-left-to-right "$output"/*-infill
