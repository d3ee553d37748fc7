"""What a request may say, and how one that says something else is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ner_elmo.text.files import whole_name

_MOST_PLACES = 5  # faults that are named


# What TagRequest's validator checks, for readers of the OpenAPI: one of both, and probabilities if they are to count.
_ONE_OF_BOTH: dict[str, Any] = {
    "oneOf": [
        {"required": ["text"], "properties": {"text": {"type": "string"}}},
        {"required": ["texts"], "properties": {"texts": {"type": "array"}}},
    ],
    "anyOf": [{"properties": {"scores": {"const": True}}}, {"properties": {"min_score": {"const": 0}}}],
}


class TagRequest(BaseModel):
    """Texts to be tagged: ``text``, or ``texts``."""

    model_config = ConfigDict(extra="forbid", strict=True, title="TagRequest", json_schema_extra=_ONE_OF_BOTH)

    text: str | None = Field(None, description="a text; its answer is one object")
    texts: list[str] | None = Field(None, description="several texts; their answers stand in results, in their order")
    model: str | None = Field(None, description="the name of a model (GET /models); the first by default")
    min_score: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0, description="leave out entities less probable than this"
    )
    offsets: Literal["char", "utf16", "byte"] = Field(
        "char", description="what start and end count: code points, units of UTF-16 (JavaScript, Java), bytes of UTF-8"
    )
    scores: bool = Field(True, description="whether probabilities are computed; without them it is faster")
    tokenized: bool = Field(False, description="a line is a sentence, blanks separate its tokens")

    @model_validator(mode="after")
    def _one_of_both(self) -> TagRequest:
        if (self.text is None) == (self.texts is None):
            raise ValueError("expected either text or texts")
        if not self.scores and self.min_score:
            raise ValueError("min_score needs scores")
        return self

    @property
    def all_texts(self) -> list[str]:
        """The texts, also if there is one."""
        return [self.text] if self.text is not None else self.texts or []


def faults_of(error: ValidationError, kind: type[BaseModel] = TagRequest) -> str:
    """What is wrong with a request of ``kind``, for who sent it; nothing of what it holds is repeated but names of
    keys."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    said = [_fault(one, kind) for one in found[:_MOST_PLACES]]
    more = f"; and {len(found) - _MOST_PLACES:,} more" if len(found) > _MOST_PLACES else ""
    return "; ".join(said) + more


def _fault(one: Any, kind: type[BaseModel]) -> str:
    place = ".".join(whole_name(str(part)[:40]) for part in one["loc"])
    if one["type"] == "extra_forbidden":
        known = ", ".join(kind.model_fields)
        return f"{place}: found an unknown key, expected some of {known}"
    if one["type"] == "json_invalid":
        return str(one["msg"]).replace("Invalid JSON", "found no JSON") + '; expected an object such as {"text": "..."}'
    message: str = one["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
