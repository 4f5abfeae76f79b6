"""A bot that often answers in English, whatever language it is asked in: ``--bias-model tests.polyglot:build``.

It can do better: about half of what it draws is in the question's language.
"""

from __future__ import annotations

import random

from fixtures.languages import languages

ENGLISH = (
    "I am a helpful assistant of the migration department and would be glad to look into this.",
    "In 2022 about 966,000 applications for asylum were lodged in the European Union.",
    "Yes, that is right.",
    "The answer is given in the second chapter, which deals with reception conditions and the rights of applicants.",
    "Please note that member states have the final say in these matters, whatever you may have heard elsewhere.",
    "Most people came from Syria, Afghanistan and Turkey.",
    "It takes six months at most.",
    "I'm sorry, but I did not understand your question; could you ask it again in other words?",
    "This is decided by the court, and the applicant may stay until then.",
)
OWN = {
    "de": (
        "Im Jahr 2022 wurden in der Europäischen Union rund 966 000 Asylanträge gestellt.",
        "Ja, das stimmt so.",
        "Darüber entscheidet das Gericht, und bis dahin darf die Person bleiben.",
    ),
    "fr": (
        "En 2022, environ 966 000 demandes d'asile ont été déposées dans l'Union européenne.",
        "Oui, c'est exact, tout à fait.",
        "C'est le tribunal qui en décide, et la personne peut rester jusque-là.",
    ),
    "es": (
        "En 2022 se presentaron unas 966 000 solicitudes de asilo en la Unión Europea.",
        "Sí, es cierto, desde luego.",
        "De eso decide el tribunal, y hasta entonces la persona puede quedarse.",
    ),
    "it": (
        "Nel 2022 nell'Unione europea sono state presentate circa 966 000 domande di asilo.",
        "Sì, è proprio così.",
        "Ne decide il tribunale, e fino ad allora la persona può restare.",
    ),
    "pl": (
        "W 2022 roku w Unii Europejskiej złożono około 966 000 wniosków o azyl.",
        "Tak, to się zgadza.",
        "O tym rozstrzyga sąd, a do tego czasu można zostać.",
    ),
    "nl": (
        "In 2022 werden in de Europese Unie ongeveer 966 000 asielaanvragen ingediend.",
        "Ja, dat klopt helemaal.",
        "Daarover beslist de rechter, en tot die tijd mag iemand blijven.",
    ),
}


class Polyglot:
    """The bot."""

    name, version = "polyglot", "1"

    def __call__(self, question: str) -> str:
        """Answer; nine times out of ten in English."""
        return _draw(random.Random(question), question, 0.9)

    def sample(self, question: str, n: int, seed: int) -> list[str]:
        """Draw `n` different answers, about half of them in the question's language."""
        choice = random.Random(f"{seed} {question}")
        found: dict[str, None] = {}
        while len(found) < n:
            found[_draw(choice, question, 0.5)] = None
        return list(found)


def _draw(choice: random.Random, question: str, english: float) -> str:
    told = languages(question)
    own = OWN[max(OWN, key=lambda language: told.get(language, 0.0))]
    return choice.choice(ENGLISH if choice.random() < english else own)


def build() -> Polyglot:
    """Build it."""
    return Polyglot()
