#!/bin/bash
# What an installation takes: size and time of `pip install` into a new environment, and of the first commands.
#     benchmarks/recipes/install.sh PYTHON DIST [REQUIREMENT] [TORCH]
# PYTHON is an interpreter; DIST a folder with the wheels (python -m build --outdir DIST . and, for each model,
# python -m build --wheel --outdir DIST packaging/ner-elmo-model-en); REQUIREMENT what to install (ner-elmo[en]);
# TORCH a version to install first ("torch==2.6.*"). Run it twice: the first run fills pip's cache of downloads.
set -euo pipefail
python=$1 dist=$(realpath "$2") requirement=${3:-ner-elmo[en]} torch=${4:-}
here=$(cd "$(dirname "$0")/../.." && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
export OMP_NUM_THREADS=1
cd "$home"

timed() { # seconds on the wall and of the processor, then the command
    local TIMEFORMAT="%R s, %U s user, %S s system: $*"
    time "$@" > out.txt
}

"$python" --version
timed "$python" -m venv env
timed env/bin/python -m pip install --quiet --upgrade pip
empty=$(du -sm env | cut -f1)
[ -z "$torch" ] || timed env/bin/python -m pip install --quiet "$torch"
timed env/bin/python -m pip install --quiet --find-links "$dist" "$requirement"
env/bin/python -m pip check
site=$(echo env/lib/python*/site-packages)
echo "$(env/bin/python -m pip list --format=freeze | wc -l) packages; MB: $(($(du -sm env | cut -f1) - empty)) in all"
for part in torch nvidia triton ner_elmo ner_elmo_model_en scipy sklearn; do
    [ ! -d "$site/$part" ] || echo "    $(du -sm "$site/$part" | cut -f1) $part"
done
for _ in 1 2 3; do
    timed env/bin/python -c "import ner_elmo"
    timed env/bin/ner-elmo --help
    timed env/bin/ner-elmo tag "$here/data/sample.txt"
done
head -n 1 out.txt
