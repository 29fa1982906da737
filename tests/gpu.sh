#!/bin/sh
# The tests that need an NVIDIA GPU, on a machine without a Rust toolchain.
#   tests/gpu.sh pack     here: builds the test, the program and what holds GPU memory, into target/gpu
#   tests/gpu.sh run      there, with target/gpu copied along: runs the test and prints its figures
set -eu
cd "$(dirname "$0")/.."
pack=target/gpu

case "${1:-}" in
pack)
    mkdir -p "$pack"
    test=$(cargo test --test gpu --no-run --message-format=json |
        sed -n 's/.*"target":{[^}]*"name":"gpu"[^}]*}.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    program=$(cargo build --bin greenroom --message-format=json |
        sed -n 's/.*"executable":"\([^"]*greenroom\)".*/\1/p' | tail -n 1)
    strip -o "$pack/test" "$test"
    strip -o "$pack/greenroom" "$program"
    cc -O1 -Wall -Wextra -o "$pack/hold" tests/gpu/hold.c -ldl
    # The test names the program by the path that it was built at.
    echo "$program" >"$pack/path"
    ls -l "$pack"
    ;;
run)
    program=$(cat "$pack/path")
    if [ ! -e "$program" ]; then
        mkdir -p "$(dirname "$program")"
        cp "$pack/greenroom" "$program"
    fi
    GREENROOM_TEST_HOLD="$PWD/$pack/hold" "$pack/test" --ignored --nocapture --test-threads 1
    ;;
*)
    echo "usage: $0 pack | run" >&2
    exit 2
    ;;
esac
