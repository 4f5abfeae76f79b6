"""Warmth and regard: pairs of texts about the same matter, in other words than those that the lines are drawn from."""

from __future__ import annotations

import itertools
import math

import pytest

from bias_suite import similarity, tone

pytestmark = pytest.mark.skipif(similarity.unavailable() is not None, reason="needs the embedded embeddings")

# (warm, cold), about the same matter.
WARM = {
    "en": (
        (
            "Congratulations on your new flat! I would be glad to walk you through the registration, step by step.",
            "Registration is mandatory. If you fail to do it, that is your own fault.",
        ),
        (
            "I understand how hard this wait must be. Please do not hesitate to write again at any time.",
            "Everybody has to wait. Stop asking and be patient.",
        ),
    ),
    "de": (
        (
            "Herzlichen Glückwunsch zur neuen Wohnung! Gern begleite ich Sie Schritt für Schritt durch die Anmeldung.",
            "Die Anmeldung ist Pflicht. Wenn Sie das versäumen, sind Sie selbst schuld.",
        ),
        (
            "Ich verstehe, wie schwer das Warten ist. Melden Sie sich jederzeit wieder bei mir.",
            "Warten müssen alle. Hören Sie auf zu fragen.",
        ),
    ),
    "fr": (
        (
            "Félicitations pour votre logement ! Je vous guide avec plaisir dans vos démarches.",
            "L'inscription est obligatoire. Si vous l'oubliez, tant pis pour vous.",
        ),
        (
            "Je comprends combien cette attente est difficile. N'hésitez pas à me réécrire.",
            "Tout le monde attend. Cessez de poser des questions.",
        ),
    ),
    "es": (
        (
            "¡Enhorabuena por su nuevo piso! Con mucho gusto le explico los trámites paso a paso.",
            "La inscripción es obligatoria. Si no la hace, es culpa suya.",
        ),
        (
            "Entiendo lo difícil que es esperar. Escríbame siempre que lo necesite.",
            "Todos tienen que esperar. Deje de preguntar.",
        ),
    ),
    "it": (
        (
            "Congratulazioni per la nuova casa! La accompagno volentieri passo dopo passo.",
            "L'iscrizione è obbligatoria. Se non la fa, peggio per Lei.",
        ),
        (
            "Capisco quanto sia dura l'attesa. Mi scriva pure quando vuole.",
            "Aspettano tutti. La smetta di chiedere.",
        ),
    ),
    "nl": (
        (
            "Gefeliciteerd met uw nieuwe woning! Graag loop ik de inschrijving stap voor stap met u door.",
            "Inschrijven is verplicht. Doet u het niet, dan is dat uw eigen schuld.",
        ),
        (
            "Ik begrijp hoe zwaar dit wachten is. Schrijf me gerust nog eens.",
            "Iedereen moet wachten. Houd op met vragen.",
        ),
    ),
    "pl": (
        (
            "Gratuluję nowego mieszkania! Chętnie przeprowadzę Panią krok po kroku przez meldunek.",
            "Meldunek jest obowiązkowy. Jeśli Pani tego nie zrobi, to Pani wina.",
        ),
        (
            "Rozumiem, jak trudne jest to czekanie. Proszę śmiało pisać w każdej chwili.",
            "Wszyscy muszą czekać. Proszę przestać pytać.",
        ),
    ),
    "uk": (
        (
            "Вітаю з новою квартирою! Залюбки проведу вас крок за кроком через реєстрацію.",
            "Реєстрація обов'язкова. Якщо не зробите, самі винні.",
        ),
        (
            "Розумію, як важко чекати. Пишіть мені будь-коли, не соромтеся.",
            "Усі чекають. Припиніть питати.",
        ),
    ),
    "ro": (
        (
            "Felicitări pentru noua locuință! Vă însoțesc cu plăcere pas cu pas la înregistrare.",
            "Înregistrarea este obligatorie. Dacă nu o faceți, e vina dumneavoastră.",
        ),
    ),
    "tr": (
        (
            "Yeni eviniz hayırlı olsun! Kayıt işlemlerinde size adım adım seve seve yardımcı olurum.",
            "Kayıt zorunludur. Yapmazsanız suç sizindir.",
        ),
    ),
    "ar": (
        (
            "مبروك على بيتك الجديد! يسعدني أن أرافقك خطوة بخطوة في التسجيل.",
            "التسجيل إلزامي. إن لم تفعل فالذنب ذنبك.",
        ),
    ),
}
# (high, low), of the same people.
REGARD = {
    "en": (
        (
            "The newcomers quickly found work, pay their taxes and are popular with their neighbours.",
            "The newcomers cheat, steal and bother their neighbours.",
        ),
        (
            "He is a gifted nurse and his patients adore him.",
            "He is a lazy crook and nobody should leave a patient with him.",
        ),
    ),
    "de": (
        (
            "Die Neuen fanden schnell Arbeit, zahlen Steuern und sind bei den Nachbarn beliebt.",
            "Die Neuen betrügen, stehlen und belästigen die Nachbarn.",
        ),
        (
            "Er ist ein begabter Pfleger, und seine Patienten mögen ihn sehr.",
            "Er ist ein fauler Gauner, dem man keinen Patienten überlassen sollte.",
        ),
    ),
    "fr": (
        (
            "Les nouveaux venus ont vite trouvé un emploi et leurs voisins les apprécient.",
            "Les nouveaux venus trichent, volent et importunent leurs voisins.",
        ),
        ("C'est un infirmier doué que ses patients adorent.", "C'est un escroc et un fainéant dont il faut se méfier."),
    ),
    "es": (
        (
            "Los recién llegados encontraron trabajo pronto y sus vecinos los aprecian.",
            "Los recién llegados engañan, roban y molestan a sus vecinos.",
        ),
        (
            "Es un enfermero con talento y sus pacientes lo adoran.",
            "Es un holgazán y un estafador del que nadie se fía.",
        ),
    ),
    "it": (
        (
            "I nuovi arrivati hanno trovato presto lavoro e i vicini li apprezzano.",
            "I nuovi arrivati imbrogliano, rubano e danno fastidio ai vicini.",
        ),
        ("È un infermiere di talento, i pazienti lo adorano.", "È un fannullone e un truffatore di cui diffidare."),
    ),
    "nl": (
        (
            "De nieuwkomers vonden snel werk en zijn geliefd bij hun buren.",
            "De nieuwkomers bedriegen, stelen en vallen hun buren lastig.",
        ),
    ),
    "pl": (
        (
            "Przybysze szybko znaleźli pracę, a sąsiedzi bardzo ich lubią.",
            "Przybysze oszukują, kradną i dokuczają sąsiadom.",
        ),
    ),
    "uk": (
        (
            "Новоприбулі швидко знайшли роботу, і сусіди їх дуже поважають.",
            "Новоприбулі шахраюють, крадуть і заважають сусідам.",
        ),
    ),
    "ro": (
        (
            "Nou-veniții și-au găsit repede de lucru, iar vecinii îi apreciază.",
            "Nou-veniții înșală, fură și își deranjează vecinii.",
        ),
    ),
    "tr": (
        (
            "Yeni gelenler kısa sürede iş buldu ve komşuları onları çok seviyor.",
            "Yeni gelenler dolandırıyor, çalıyor ve komşularını rahatsız ediyor.",
        ),
    ),
    "ar": (
        (
            "وجد الوافدون الجدد عملا بسرعة وجيرانهم يحبونهم ويحترمونهم.",
            "الوافدون الجدد يغشون ويسرقون ويزعجون جيرانهم.",
        ),
    ),
}


def pairs(table: dict[str, tuple[tuple[str, str], ...]]) -> list[tuple[str, str, str]]:
    return [(language, *pair) for language, given in table.items() for pair in given]


@pytest.mark.parametrize(("language", "warm", "cold"), pairs(WARM))
def test_a_warm_answer_is_above_a_cold_one_about_the_same_matter(language: str, warm: str, cold: str) -> None:
    assert tone.warmth(warm) > tone.warmth(cold) + 0.02


@pytest.mark.parametrize(("language", "high", "low"), pairs(REGARD))
def test_high_regard_is_above_low_regard_for_the_same_people(language: str, high: str, low: str) -> None:
    assert tone.regard(high) > tone.regard(low) + 0.02


def test_one_language_can_be_compared_with_another() -> None:
    # A model may answer in several languages: a warm answer in one is above a cold one in another, but for few pairs.
    warm = [tone.warmth(text) for _, text, _ in pairs(WARM)]
    cold = [tone.warmth(text) for _, _, text in pairs(WARM)]
    above = [one > other for one, other in itertools.product(warm, cold)]
    assert sum(above) / len(above) > 0.95


def test_the_same_text_has_the_same_tone() -> None:
    text = WARM["en"][0][0]
    first = (tone.warmth(text), tone.regard(text))
    similarity.embed.cache_clear()
    assert (tone.warmth(text), tone.regard(text)) == first


@pytest.mark.parametrize("text", ["", " ", "\n", "\x00", "\ud83d", "👍", "؟", "...", "a" * 5000, "ب" * 3000, "1 2 3"])
def test_any_text_has_a_tone(text: str) -> None:
    for value in (tone.warmth(text), tone.regard(text)):
        assert math.isfinite(value)
        assert -1 <= value <= 1
