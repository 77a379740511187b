"""The tokens that no text contains, in the order of their ids, and the chat format that they make.

They are reserved here because a vocabulary cannot grow later without new rows in every embedding matrix made
from it. There is no token for the beginning of a text: nothing is conditioned on one, and the end is what a
pooled state needs to see.
"""

PAD = "<pad>"
EOS = "</s>"
TURN, END_OF_TURN = "<|im_start|>", "<|im_end|>"
NUM_RESERVED = 8
SPECIALS = (PAD, EOS, TURN, END_OF_TURN, *(f"<|reserved_{number}|>" for number in range(NUM_RESERVED)))

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""One turn a message: `<|im_start|>role`, the content, `<|im_end|>`."""
