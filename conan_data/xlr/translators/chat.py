"""Translation by a language model in this process, asked by its own chat template."""

from collections.abc import Sequence

from conan_data.chat.answers import Known
from conan_data.errors import UserError
from conan_data.models.loading import quiet
from conan_data.xlr.translators import Request, Task
from conan_data.xlr.translators.local import LocalTranslator, read_answer
from conan_data.xlr.translators.prompts import Prompts
from conan_data.xlr.translators_config import ChatModelConfig


class ChatModelTranslator(LocalTranslator):
    """Translates by the most likely next token each time."""

    def __init__(self, config: ChatModelConfig, task: Task) -> None:
        """Raises `UserError` for a model that is none, or has no chat template."""
        from transformers import AutoModelForCausalLM

        super().__init__(config, task, field="chat")
        self.retries = config.retry
        self._prompts = Prompts(config, task.languages)
        # The new tokens follow the last one of the prompt, so padding stands before it.
        self._tokenizer = self._open_tokenizer(padding_side="left")
        if not self._tokenizer.chat_template:
            raise UserError(
                f"chat.model: {config.model} has no chat template; take a model that was taught to answer"
            )
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model = self._open_model(AutoModelForCausalLM, self._tokenizer)

    def _asked(self, request: Request) -> tuple[str, ...]:
        return tuple(part for message in self._prompts.messages(request) for part in message)

    def _generate(self, requests: Sequence[Request]) -> list[Known]:
        import torch

        asked = [
            self._tokenizer.apply_chat_template(
                [{"role": role, "content": text} for role, text in self._prompts.messages(request)],
                tokenize=False,
                add_generation_prompt=True,
            )
            for request in requests
        ]
        batch = self._tokenizer(asked, return_tensors="pt", padding=True, add_special_tokens=False).to(
            self._device
        )
        with torch.inference_mode(), quiet():
            tokens = self._model.generate(
                **{name: batch[name] for name in ("input_ids", "attention_mask")},
                do_sample=False,
                num_beams=1,
                max_new_tokens=self._config.max_new_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        new = tokens[:, batch["input_ids"].shape[1] :].tolist()
        end = self._model.generation_config.eos_token_id
        ends = set(end if isinstance(end, list) else [end])
        said = self._tokenizer.batch_decode(new, skip_special_tokens=True)
        return [read_answer(text, is_cut=not ends & set(row)) for text, row in zip(said, new)]
