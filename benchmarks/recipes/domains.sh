#!/usr/bin/env bash
# Taggers of other domains and of another language, each with a biLM that goes on from models/en on such text: medical
# papers (NCBI-disease, BC5CDR), posts (WNUT-17), Spanish (CoNLL-2002). Three seeds each; everything goes on where it
# stopped when this is run again, but for the vectors, which are made once.
#
#   benchmarks/recipes/domains.sh LM NER EN_VECTORS RUNS [DOMAINS...]
#
# LM holds en.bio.train.txt.xz, en.bio-pretok.*.txt.xz, en.social.*.txt.xz and es.*.txt.xz, NER the corpora's folders,
# EN_VECTORS is a file of general English vectors; DOMAINS are bio, social and es. On one CPU core without AMX a biLM
# takes 25 to 40 minutes, a tagger five to nine.
set -euo pipefail
lm=${1:?folder with raw text} ner=${2:?folder with the corpora} general=${3:?file of English word vectors} runs=${4:?folder to write to}
here=$(dirname "$0")
[ $# -gt 4 ] && domains=("${@:5}") || domains=(bio social es)
mkdir -p "$runs"

vectors() { # NAME EPOCHS TEXT...
    [ -f "$runs/$1.vectors.txt" ] || python "$here/../../data/train_word_vectors.py" "${@:3}" --epochs "$2" --min-count 3 \
        --words 60000 --threads 1 -o "$runs/$1.vectors.txt"
}
beside_general() { # NAME
    [ -f "$runs/en+$1.vectors.txt" ] || python "$here/side_by_side.py" "$general" "$runs/$1.vectors.txt" \
        -o "$runs/en+$1.vectors.txt"
}
bilm() { # NAME TEXT HELDOUT TOKENS LANGUAGE
    ner-elmo pretrain "$2" --heldout "$3" --init en --samples 2048 --max-tokens "$4" --epochs 10 --threads 1 \
        --checkpoint-minutes 5 --learning-rate 0.001 --language "$5" -o "$runs/$1" --resume
}
tagger() { # NAME FOLDER TRAIN DEV TEST FLAGS...
    ner-elmo train-tagger --train "$ner/$2/$3" --dev "$ner/$2/$4" --test "$ner/$2/$5" --seeds 1,2,3 --threads 1 \
        "${@:6}" -o "$runs/$1" --resume
}
near="--context document-twice --context-window 10"

for domain in "${domains[@]}"; do
    case $domain in
    bio)
        vectors bio 5 "$lm/en.bio.train.txt.xz" "$lm/en.bio-pretok.train.txt.xz"
        beside_general bio
        bilm bio "$lm/en.bio-pretok.train.txt.xz" "$lm/en.bio-pretok.heldout.txt.xz" 5000000 en
        for corpus in ncbi-disease:bioes bc5cdr:iob2; do
            tagger "${corpus%%:*}" "${corpus%%:*}" train.tsv devel.tsv test.tsv --scheme "${corpus##*:}" \
                --bilm "$runs/bio" --word-vectors "$runs/en+bio.vectors.txt" $near
        done
        ;;
    social)
        vectors social 8 "$lm/en.social.train.txt.xz"
        beside_general social
        bilm social "$lm/en.social.train.txt.xz" "$lm/en.social.heldout.txt.xz" 5000000 en
        tagger wnut17 wnut17 wnut17train.conll emerging.dev.conll emerging.test.annotated --scheme iob2 \
            --bilm "$runs/social" --word-vectors "$runs/en+social.vectors.txt"
        ;;
    es)
        vectors es 5 "$lm/es.train.txt.xz"
        bilm es "$lm/es.train.txt.xz" "$lm/es.heldout.txt.xz" 8000000 es
        tagger conll2002-es conll2002-es esp.train esp.testa esp.testb --scheme iob2 --bilm "$runs/es" \
            --word-vectors "$runs/es.vectors.txt" $near
        ;;
    *)
        echo "$domain: expected bio, social or es" >&2
        exit 2
        ;;
    esac
done
