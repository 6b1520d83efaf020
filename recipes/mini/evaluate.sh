#!/bin/sh
# Makes the table of docs/mini.md: a model on five tasks by four methods, with intervals. Goes on where it was stopped.
#   recipes/mini/evaluate.sh DATA HELD_OUT OUTPUT [MODEL]
# DATA is the data folder of human-eval-infilling. HELD_OUT holds the packages that mini was not trained on:
#   pip install --no-deps --target HELD_OUT flask==3.1.3 networkx==3.6.1 aiohttp==3.14.5 tornado==6.6.1 \
#     requests==2.34.2
set -eu
data=$1 held_out=$2 output=$3 model=${4:-mini}

run() { # BENCHMARK DATA LIMIT METHOD [OPTION...]
  benchmark=$1 benchmark_data=$2 limit=$3 benchmark_method=$4
  shift 4
  incoder eval "$benchmark" --data "$benchmark_data" --model "$model" --method "$benchmark_method" \
    --limit "$limit" --output "$output/$benchmark-$benchmark_method" "$@"
}

for task in return-types variable-names docstrings; do
  [ -e "$output/data/$task.jsonl" ] || incoder eval build "$task" --from "$held_out" --limit 400 --output "$output/data"
done
for method in infill infill-rerank left-to-right rerank; do
  rules=
  case $method in infill*) rules=--stopping-rules ;; esac
  run humaneval-single-line "$data" 1033 $method $rules
  run humaneval-multi-line "$data" 500 $method $rules
  for task in return-types variable-names docstrings; do
    run "$task" "$output/data/$task.jsonl" 400 $method
  done
done
incoder eval report "$output"/*-infill "$output"/*-rerank "$output"/*-left-to-right \
  --png "$output/context.png" --html "$output/report.html"
