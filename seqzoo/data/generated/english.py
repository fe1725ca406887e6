"""A small grammar of English: sentences with universal part-of-speech tags, and opinions with a sentiment.

The tags of many words depend on their context: "the can", "they can fish", "a fast walk", "she walks fast". An opinion
is positive or negative: "not" reverses it, "very" does not, and after "but" only the second half counts.
"""

from __future__ import annotations

import random
from typing import NamedTuple

Tagged = tuple[tuple[str, str], ...]


def _words(text: str) -> list[str]:
    return text.split()


DETERMINERS = _words("the the the this that every some my her our")
NOUNS = _words(
    "cat dog doctor teacher river garden window letter train city song story idea table street bird "
    "watch play walk can light book cook fish run rest present drink dance answer plan show cut right well match"
)
NAMES = _words("anna ben clara david emma frank grace henry")
PRONOUNS = _words("i you we they")
SINGULAR_PRONOUNS = _words("he she it everyone")
TRANSITIVE = _words("see like find need want know watch book cook fish present plan show cut answer light match drink")
INTRANSITIVE = _words("sleep wait laugh walk play run rest dance fish cook work stay")
ADJECTIVES = _words("small old red quiet young strange tall empty light present fast right well close")
ADVERBS = _words("often quickly slowly never here today fast well right close")
AUXILIARIES = _words("can will must may should")
PREPOSITIONS = _words("in on near with like behind at to")
NUMBERS = _words("two three five ten")

SUBJECTS = _words("film story acting music ending plot dialogue cast book play show food service hotel")
GOOD = _words("good great wonderful funny charming brilliant lovely clever warm excellent")
BAD = _words("bad terrible boring dull awful weak stupid poor cold horrible")
NEUTRAL = _words("long short new french quiet recent old loud")
INTENSIFIERS = _words("very really quite so extremely")
LIKING = _words("love like enjoy admire")
LOATHING = _words("hate dislike regret despise")
CONTRASTS = {"but": "CCONJ", "yet": "CCONJ"}
CONCESSIONS = {"although": "SCONJ", "while": "SCONJ", "though": "SCONJ"}


class Sentence(NamedTuple):
    """A tagged sentence.

    Attributes:
        tagged: pairs of a word and its tag.
        sentiment: "positive" or "negative"; None for a sentence without an opinion.
    """

    tagged: Tagged
    sentiment: str | None

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.tagged]

    @property
    def tags(self) -> list[str]:
        return [tag for _, tag in self.tagged]


class English:
    """Draws random sentences of the grammar."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def sentence(self) -> Sentence:
        """A plain sentence or, one time in three, an opinion."""
        if self.random.random() < 1 / 3:
            return self.opinion()
        words = self.clause()
        if self._sometimes(0.25):
            words = (*words, ("and", "CCONJ"), *self.clause())
        elif self._sometimes(0.2):
            words = self._say() + self.clause()
        elif self._sometimes(0.2):
            words = (("when", "SCONJ"), *self.clause(), (",", "PUNCT"), *words)
        return Sentence((*words, (".", "PUNCT")), None)

    def clause(self) -> Tagged:
        plural = self._sometimes(0.5)
        return self._subject(plural) + self._predicate(plural)

    def opinion(self) -> Sentence:
        """A sentence with the sentiment of its main or last clause."""
        positive = self._sometimes(0.5)
        words = self._judgement(positive)
        # the other clause often has the opposite sentiment, so that counting words does not suffice
        other = self._neutral() if self._sometimes(0.3) else self._judgement(self._sometimes(0.5))
        form = self.random.random()
        if form < 0.35:
            word = self._choice(list(CONTRASTS))
            words = (*other, (",", "PUNCT"), (word, CONTRASTS[word]), *words)
        elif form < 0.6:
            word = self._choice(list(CONCESSIONS))
            words = ((word, CONCESSIONS[word]), *other, (",", "PUNCT"), *words)
        elif form < 0.75:
            words = (*words, ("and", "CCONJ"), *self._neutral())
        return Sentence((*words, (".", "PUNCT")), "positive" if positive else "negative")

    def _judgement(self, positive: bool) -> Tagged:
        negated = self._sometimes(0.4)
        said_good = positive != negated
        if self._sometimes(0.3):
            verb = (self._choice(LIKING if said_good else LOATHING), "VERB")
            denial: Tagged = (("did", "AUX"), ("not", "PART")) if negated else (("do", "AUX"),)
            subject = (self._choice(PRONOUNS), "PRON")
            emphasis = denial if negated or self._sometimes(0.3) else ()
            return (subject, *emphasis, verb, *self._topic())
        degree: Tagged = ((self._choice(INTENSIFIERS), "ADV"),) if self._sometimes(0.4) else ()
        denial = (("not", "PART"),) if negated else ()
        adjective = (self._choice(GOOD if said_good else BAD), "ADJ")
        return (*self._topic(), (self._choice(["is", "was"]), "AUX"), *denial, *degree, adjective)

    def _neutral(self) -> Tagged:
        return (*self._topic(), (self._choice(["is", "was"]), "AUX"), (self._choice(NEUTRAL), "ADJ"))

    def _topic(self) -> Tagged:
        adjective: Tagged = ((self._choice(NEUTRAL), "ADJ"),) if self._sometimes(0.2) else ()
        return (self._determiner(), *adjective, (self._choice(SUBJECTS), "NOUN"))

    def _subject(self, plural: bool) -> Tagged:
        if self._sometimes(0.35):
            return ((self._choice(PRONOUNS if plural else SINGULAR_PRONOUNS), "PRON"),)
        return self._plural_phrase() if plural else self._noun_phrase()

    def _predicate(self, plural: bool) -> Tagged:
        auxiliary: Tagged = ()
        if self._sometimes(0.35):
            auxiliary = ((self._choice(AUXILIARIES), "AUX"),)
            if self._sometimes(0.25):
                auxiliary += (("not", "PART"),)
        bare = plural or bool(auxiliary)
        if self._sometimes(0.55):
            words = (*auxiliary, self._verb(TRANSITIVE, bare), *self._object())
        else:
            words = (*auxiliary, self._verb(INTRANSITIVE, bare))
            if self._sometimes(0.4):
                words += ((self._choice(ADVERBS), "ADV"),)
        if self._sometimes(0.3):
            words += self._prepositional()
        return words

    def _object(self) -> Tagged:
        if self._sometimes(0.15):
            return (("to", "PART"), self._verb(INTRANSITIVE, bare=True))
        if self._sometimes(0.15):
            return ((self._choice(["her", "them", "us", "that"]), "PRON"),)
        return self._plural_phrase() if self._sometimes(0.25) else self._noun_phrase()

    def _noun_phrase(self) -> Tagged:
        if self._sometimes(0.15):
            return ((self._choice(NAMES), "PROPN"),)
        adjective: Tagged = ((self._choice(ADJECTIVES), "ADJ"),) if self._sometimes(0.35) else ()
        phrase = (self._determiner(), *adjective, (self._choice(NOUNS), "NOUN"))
        return phrase + self._prepositional() if self._sometimes(0.1) else phrase

    def _plural_phrase(self) -> Tagged:
        number: Tagged = ((self._choice(NUMBERS), "NUM"),) if self._sometimes(0.5) else (("the", "DET"),)
        adjective: Tagged = ((self._choice(ADJECTIVES), "ADJ"),) if self._sometimes(0.3) else ()
        return (*number, *adjective, (inflected(self._choice(NOUNS)), "NOUN"))

    def _prepositional(self) -> Tagged:
        return ((self._choice(PREPOSITIONS), "ADP"), *self._noun_phrase())

    def _say(self) -> Tagged:
        return ((self._choice(NAMES), "PROPN"), (self._choice(["says", "knows"]), "VERB"), ("that", "SCONJ"))

    def _determiner(self) -> tuple[str, str]:
        word = self._choice(DETERMINERS)
        return (word, "PRON" if word in ("my", "her", "our") else "DET")

    def _verb(self, verbs: list[str], bare: bool) -> tuple[str, str]:
        verb = self._choice(verbs)
        return (verb if bare else inflected(verb), "VERB")

    def _choice(self, words: list[str]) -> str:
        return self.random.choice(words)

    def _sometimes(self, probability: float) -> bool:
        return self.random.random() < probability


def inflected(word: str) -> str:
    """The regular -s form of a verb or noun: "watch" -> "watches", "story" -> "stories"."""
    if word.endswith(("ch", "sh", "ss", "x")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
