"""In what numbers an LSTM may compute: the names, and what ``--help`` says of them. Nothing here needs torch."""

INFERENCE = ("auto", "fp32", "bf16", "int8", "int8-compiled")
INFERENCE_HELP = (
    "how the LSTMs compute: fp32; bf16, faster on CPUs that have it; int8, on any CPU, less exact; "
    "int8-compiled, by the C compiler ($CC, cc), the fastest; "
    "auto: the fastest for many texts on this CPU"
)
