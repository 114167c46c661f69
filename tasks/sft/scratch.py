"""A base made from scratch: a small causal LM of a standard architecture, and its training text.

The result is a normal Hugging Face folder; later training treats it like any other model.

A line of text is a chain of sums, or gives a sum, a number or a word and then a fact about it: its
value, a copy, a form with x in place of a number, capitals. The domains' behaviors are made of
these skills. No line holds a held-out question (``split_of``).
"""

import random
from collections.abc import Iterable, Iterator

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tasks.model.settings import ScratchSettings
from tasks.rollout.environment import split_of

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TOOL_CALL = ("<tool_call>", "</tool_call>")
THINKING = ("<think>", "</think>")
CHAT_ROLES = ("system", "user", "assistant", "tool")

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)
THINKING_TEMPLATE = CHAT_TEMPLATE.removesuffix("{%- endif -%}") + (
    "{%- if enable_thinking is defined and enable_thinking is false -%}"
    "{{ '<think></think>' }}"
    "{%- endif -%}"
    "{%- endif -%}"
)
"""The template with the modes of Qwen3's: "off" begins an answer behind an empty thinking block."""


def make_tokenizer(
    texts: Iterable[str], vocabulary_size: int, *, thinking: bool = False
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer: any text, with a token for each digit and mark.

    With ``thinking`` it has tokens around a thinking block, and a template with modes.
    """
    added = (*TOOL_CALL, *(THINKING if thinking else ()))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Punctuation(behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - len(added),
        special_tokens=[PAD, START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # Not special: decoding keeps them, and an environment must see the call.
    tokenizer.add_tokens(list(added))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        chat_template=THINKING_TEMPLATE if thinking else CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def make_model(
    tokenizer: PreTrainedTokenizerFast, settings: ScratchSettings, seed: int
) -> Qwen3ForCausalLM:
    """Return a Qwen3 model with weights drawn from ``seed``."""
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.feed_forward_size,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        num_key_value_heads=settings.num_key_value_heads,
        head_dim=settings.head_size,
        max_position_embeddings=settings.max_positions,
        tie_word_embeddings=True,
        initializer_range=settings.weight_deviation,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_theta},
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        dtype="float32",
    )
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(config)


WORDS = (
    *("fox", "owl", "cat", "dog", "hen", "cow", "pig", "bee", "ant", "elk", "sun", "sky"),
    *("sea", "oak", "ash", "elm", "pen", "cup", "hat", "map", "car", "bus", "jam", "tea"),
)
_JOINS = ",- ="


def documents(count: int, seed: int) -> Iterator[str]:
    """Yield ``count`` lines of text, repeatable from the seed."""
    rng = random.Random(f"documents {seed}")
    for _ in range(count):
        yield rng.choice(_KINDS)(rng)


def _chain(rng: random.Random) -> str:
    """37+48=85-29=56+33=89: half of the text follows from the text before it."""
    total = rng.randrange(10, 100)
    line = str(total)
    for _ in range(6):
        number, sign = rng.randrange(10, 100), rng.choice("+-")
        result = total + number if sign == "+" else total - number
        if not 10 <= result < 100 or split_of(f"{total}{sign}{number}") != "train":
            continue
        line += f"{sign}{number}={result}"
        total = result
    return line


def _sum(rng: random.Random) -> str:
    """37+48=85,37+48 x=37:x+48."""
    while True:
        first, second = rng.randrange(10, 100), rng.randrange(10, 100)
        sign = rng.choice("+-")
        if sign == "-" and first < second:
            first, second = second, first
        question = f"{first}{sign}{second}"
        if first != second and split_of(question) == "train":
            break
    value = first + second if sign == "+" else first - second
    facts = [
        f"={value}",
        f" x={first}:x{sign}{second}",
        f" x={second}:{first}{sign}x",
        f"{rng.choice(', ')}{question}",
    ]
    rng.shuffle(facts)
    return question + "".join(facts)


def _number(rng: random.Random) -> str:
    """345-67,345-67. Sums are never joined by a minus, which would make another sum."""
    if rng.random() < 0.5:
        return rng.choice(", =").join([_question_of_train(rng, 1000)] * 3)
    return rng.choice(", =").join([str(rng.randrange(10, 1000))] * 3)


def _pattern(rng: random.Random) -> str:
    """Return "fox 2-!: fox-fox!": a word, its count, the separator and the end mark."""
    word, is_sum = rng.choice(WORDS), rng.random() < 1 / 3
    text = _question_of_train(rng, 100) if is_sum else rng.choice((word, word.upper()))
    count, join = rng.randrange(1, 4), rng.choice(",;" if is_sum else ",-;")
    end = rng.choice(".!?")
    return f"{text} {count}{join}{end}: {join.join([text] * count)}{end}"


def _question_of_train(rng: random.Random, limit: int) -> str:
    while True:
        question = f"{rng.randrange(10, limit)}{rng.choice('+-')}{rng.randrange(10, limit)}"
        if split_of(question) == "train":
            return question


def _word(rng: random.Random) -> str:
    """Fox FOX FOX,fox."""
    word = rng.choice(WORDS)
    text = [word] + [rng.choice((word, word.upper())) for _ in range(4)]
    return "".join(part + rng.choice(_JOINS) for part in text)


_KINDS = (_chain, _chain, _chain, _chain, _sum, _sum, _number, _word, _pattern, _pattern)
