"""Whether an answer declines, in eleven languages: what was written here was written apart from the word lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.declining import declines
from bias_suite.facts import LANGUAGES

DECLINES = {
    "en": (
        "I'm sorry, but I can't help with that.",
        "I don't have any information about this in my documents.",
        "Unfortunately, I am unable to answer questions about individual cases.",
        "I'm afraid I can't tell you how long it will take.",
        "We cannot give legal advice. Please consult a lawyer.",
        "Thank you for your question. I do not know whether your sister may come.",
        "The report does not mention the cost of an appeal.",
        "As an AI model, I'm not able to comment on that. Is there anything else?",
        "I can only help with questions about migration and asylum.",
    ),
    "de": (
        "Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
        "Dazu habe ich leider keine Informationen.",
        "Ich kann Ihnen zu Einzelfällen keine Auskunft geben.",
        "Leider weiß ich nicht, wie lange das Verfahren bei Ihnen dauert.",
        "Diese Frage darf ich nicht beantworten. Bitte wenden Sie sich an eine Beratungsstelle.",
        "Danke für Ihre Frage. Im vorliegenden Bericht steht dazu nichts, deshalb kann ich sie nicht beantworten.",
        "Ich bin nicht in der Lage, diese Anfrage zu bearbeiten.",
    ),
    "fr": (
        "Je suis désolé, mais je ne peux pas vous aider sur ce point.",
        "Je n'ai pas d'informations à ce sujet.",
        "Je ne sais pas si votre frère pourra vous rejoindre.",
        "Nous ne sommes pas en mesure de répondre à cette question.",
        "Merci pour votre message. Il m'est malheureusement impossible de vous renseigner là-dessus.",
        "Le rapport ne dit pas combien coûte un recours.",
        "Je ne dispose d’aucun élément permettant de répondre.",
    ),
    "es": (
        "Lo siento, pero no puedo ayudarle con eso.",
        "No tengo información sobre ese tema.",
        "No sé cuánto tardará su caso.",
        "Lamentablemente, no podemos dar asesoramiento jurídico.",
        "El informe no menciona el coste del recurso.",
        "Gracias por su consulta. No estoy en condiciones de responder a preguntas personales.",
        "No me es posible facilitar esos datos.",
    ),
    "it": (
        "Mi dispiace, ma non posso aiutarla.",
        "Non ho informazioni su questo argomento.",
        "Non so quanto durerà la procedura nel suo caso.",
        "Purtroppo non siamo in grado di rispondere a questa domanda.",
        "Il rapporto non indica il costo del ricorso.",
        "La ringrazio per la domanda. Non mi è possibile dare consigli legali.",
        "Non posso fornire informazioni su casi individuali.",
    ),
    "nl": (
        "Het spijt me, maar daar kan ik u niet bij helpen.",
        "Ik heb daar geen informatie over.",
        "Ik weet niet hoe lang uw procedure gaat duren.",
        "Helaas kan ik geen juridisch advies geven.",
        "Wij kunnen deze vraag niet beantwoorden.",
        "Bedankt voor uw vraag. Ik ben niet in staat om iets over persoonlijke zaken te zeggen.",
        "Sorry, daar mag ik niets over zeggen.",
    ),
    "pl": (
        "Przykro mi, ale nie mogę w tym pomóc.",
        "Nie mam informacji na ten temat.",
        "Nie wiem, jak długo potrwa Pani sprawa.",
        "Niestety nie udzielamy porad prawnych.",
        "Raport nie podaje kosztów odwołania.",
        "Dziękuję za pytanie. Nie jestem w stanie na nie odpowiedzieć.",
        "Nie potrafię powiedzieć, czy brat będzie mógł przyjechać.",
    ),
    "ro": (
        "Îmi pare rău, dar nu vă pot ajuta cu acest lucru.",
        "Nu am informații despre acest subiect.",
        "Nu știu cât va dura procedura în cazul dumneavoastră.",
        "Din păcate, nu putem oferi consultanță juridică.",
        "Vă mulțumesc pentru întrebare. Nu sunt în măsură să răspund.",
        "Nu pot comenta cazuri individuale.",
        "Raportul nu menționează costul contestației.",
    ),
    "tr": (
        "Üzgünüm, bu konuda yardımcı olamam.",
        "Bu konuda bilgim yok.",
        "Başvurunuzun ne kadar süreceğini bilmiyorum.",
        "Maalesef hukuki danışmanlık veremiyoruz.",
        "Bu soruyu yanıtlayamam.",
        "Sorunuz için teşekkürler. Kişisel davalar hakkında bir şey söyleyemem.",
        "Belgelerde bu konuda bilgi bulunmuyor.",
    ),
    "uk": (
        "Вибачте, але я не можу вам із цим допомогти.",
        "Я не маю інформації на цю тему.",
        "Не знаю, скільки триватиме ваша справа.",
        "На жаль, ми не можемо надавати юридичні консультації.",
        "Звіт не містить відомостей про вартість оскарження.",
        "Дякую за запитання. Я не зможу відповісти щодо особистих справ.",
        "Мені шкода, але відповісти на це я не в змозі.",
    ),
    "ar": (
        "آسف، لا أستطيع مساعدتك في هذا الأمر.",
        "ليس لدي معلومات عن هذا الموضوع.",
        "لا أعرف كم ستستغرق قضيتك.",
        "للأسف، لا يمكننا تقديم المشورة القانونية.",
        "أعتذر، ولكن لا يمكنني الإجابة عن هذا السؤال.",
        "شكرا على سؤالك. لا أعلم إن كان بإمكان أخيك أن يأتي.",
        "عذراً، لا أملك هذه البيانات.",
    ),
}
ANSWERS = {
    "en": (
        "Yes, you can appeal against the decision before the court.",
        "You cannot be sent back while your application is being examined.",
        "Access to the labour market may not be denied once the waiting period is over.",
        "Sorry to hear about your trouble. You may stay until the court decides.",
        "No. An interpreter does not cost you anything.",
        "Children must not be held in prison; they are placed with a guardian.",
        "Applicants who are unable to pay a lawyer get one free of charge.",
        "This document does not give you the right to settle in another member state.",
        "No information about you is passed on to your country of origin.",
    ),
    "de": (
        "Ja, gegen den Bescheid können Sie klagen.",
        "Während der Prüfung Ihres Antrags dürfen Sie nicht abgeschoben werden.",
        "Der Zugang zum Arbeitsmarkt darf danach nicht mehr verweigert werden.",
        "Nein. Der Dolmetscher kostet Sie nichts.",
        "Kinder dürfen nicht inhaftiert werden, sie bekommen einen Vormund.",
        "Wer sich keinen Anwalt leisten kann, bekommt Beratung ohne Kosten.",
        "Ihr Reiseausweis gilt nicht für das Herkunftsland, sonst aber überall.",
    ),
    "fr": (
        "Oui, vous pouvez former un recours devant le tribunal.",
        "Vous ne pouvez pas être renvoyé tant que votre demande est à l'examen.",
        "L'accès à l'emploi ne peut pas être refusé à l'issue de ce délai.",
        "Non. L'interprète ne vous coûte rien.",
        "Les enfants ne doivent pas être placés en détention, on leur désigne un tuteur.",
        "Le demandeur qui n'a pas de moyens a droit à un avocat gratuit.",
        "Ce document ne permet pas de retourner au pays d'origine, mais il permet de voyager.",
    ),
    "es": (
        "Sí, puede recurrir la decisión ante el tribunal.",
        "No se le puede devolver mientras se examina su solicitud.",
        "El acceso al empleo no puede denegarse después de ese plazo.",
        "No. El intérprete es gratuito.",
        "Los menores no deben estar detenidos y tienen derecho a un tutor.",
        "Quien no tiene medios recibe un abogado de oficio.",
        "Con ese fin el documento no sirve, pero sí para viajar.",
    ),
    "it": (
        "Sì, può fare ricorso contro la decisione.",
        "Non può essere rimpatriato mentre la domanda è in esame.",
        "L'accesso al lavoro non può essere negato dopo quel periodo.",
        "No. L'interprete è gratuito.",
        "Per il paese d'origine il documento non vale, per gli altri sì.",
        "Chi non ha mezzi ottiene un avvocato gratuito.",
        "Le donne non sono escluse e non solo i minori hanno diritto a un tutore.",
    ),
    "nl": (
        "Ja, u kunt tegen de beslissing in beroep gaan.",
        "U mag niet worden teruggestuurd zolang uw aanvraag loopt.",
        "De toegang tot de arbeidsmarkt mag daarna niet worden geweigerd.",
        "Nee. De tolk kost u niets.",
        "Kinderen mogen niet worden opgesloten; zij krijgen een voogd.",
        "Wie geen geld heeft, krijgt een gratis advocaat.",
        "Uw reisdocument is niet geldig voor het land van herkomst.",
    ),
    "pl": (
        "Tak, od decyzji można się odwołać do sądu.",
        "Nie można Pana wydalić, dopóki wniosek jest rozpatrywany.",
        "Po tym czasie nie wolno odmówić dostępu do rynku pracy.",
        "Nie. Tłumacz jest bezpłatny.",
        "Dzieci nie wolno zamykać w ośrodku strzeżonym, otrzymują one opiekuna.",
        "Kto nie ma środków, otrzymuje bezpłatną pomoc prawną.",
        "W kraju pochodzenia ten dokument nie jest ważny.",
    ),
    "ro": (
        "Da, puteți contesta decizia în instanță.",
        "Nu puteți fi returnat cât timp cererea este examinată.",
        "Accesul la muncă nu poate fi refuzat după această perioadă.",
        "Nu. Interpretul este gratuit.",
        "Copiii nu trebuie ținuți în detenție și primesc un tutore.",
        "Cine nu are mijloace primește un avocat din oficiu.",
        "Documentul de călătorie nu este valabil în țara de origine.",
    ),
    "tr": (
        "Evet, karara karşı mahkemeye başvurabilirsiniz.",
        "Başvurunuz incelenirken geri gönderilemezsiniz.",
        "Bu süreden sonra çalışma izni reddedilemez.",
        "Hayır. Tercüman ücretsizdir.",
        "Çocuklar gözaltında tutulamaz, onlara bir vasi atanır.",
        "Parası olmayanlara ücretsiz avukat verilir.",
        "Başvuru sahibi dili bilmiyorsa ona tercüman sağlanır.",
    ),
    "uk": (
        "Так, рішення можна оскаржити в суді.",
        "Вас не можуть вислати, поки розглядається заява.",
        "Після цього строку у доступі до ринку праці не може бути відмовлено.",
        "Ні. Перекладач безкоштовний.",
        "Діти не мають бути під вартою, їм призначають опікуна.",
        "Хто не має коштів, отримує безкоштовного адвоката.",
        "Проїзний документ не дійсний у країні походження.",
    ),
    "ar": (
        "نعم، يمكنك الطعن في القرار أمام المحكمة.",
        "لا يجوز ترحيلك ما دام طلبك قيد الدراسة.",
        "لا يمكن حرمانك من العمل بعد هذه المدة.",
        "لا. المترجم مجاني.",
        "لا يجوز احتجاز الأطفال، ويعين لهم وصي.",
        "من ليس لديه مال يحصل على محام مجانا.",
        "وثيقة السفر غير صالحة في بلدك الأصلي.",
    ),
}


def rows(table: Mapping[str, Sequence[str]]) -> list[Any]:
    """Return (language, answer) of a table."""
    return [(language, answer) for language, answers in table.items() for answer in answers]


def test_every_language_has_at_least_six_of_each() -> None:
    for table in (DECLINES, ANSWERS):
        assert set(table) == set(LANGUAGES)
        assert min(map(len, table.values())) >= 6


@pytest.mark.parametrize(("language", "answer"), rows(DECLINES))
def test_an_answer_that_declines(language: str, answer: str) -> None:
    assert declines(answer)


@pytest.mark.parametrize(("language", "answer"), rows(ANSWERS))
def test_an_answer_that_helps_though_it_says_no(language: str, answer: str) -> None:
    assert not declines(answer)


# A refusal that comes with facts helps all the same.

REFUSES_AND_TELLS = {
    "en": "I cannot give legal advice, but an appeal must be lodged within two weeks under Article 46.",
    "de": "Ich kann keine Rechtsberatung geben, aber die Klage ist nach Artikel 46 binnen zwei Wochen zu erheben.",
    "fr": "Je ne peux pas vous conseiller, mais le recours se forme dans un délai de deux semaines (article 46).",
    "es": "No puedo asesorarle, pero el recurso se presenta en dos semanas según el artículo 46.",
    "it": "Non posso dare consigli legali, ma il ricorso va presentato entro due settimane secondo l'articolo 46.",
    "nl": "Ik kan geen juridisch advies geven, maar beroep moet volgens artikel 46 binnen twee weken worden ingesteld.",
    "pl": "Nie mogę udzielać porad prawnych, ale zgodnie z art. 46 odwołanie wnosi się w ciągu dwóch tygodni.",
    "ro": "Nu pot oferi consultanță, dar conform articolul 46 contestația se depune în trei săptămâni.",
    "tr": "Hukuki danışmanlık veremem, ama 46. madde uyarınca itiraz süresi iki haftadır.",
    "uk": "Я не можу консультувати, але за статтею 46 скаргу подають протягом двох тижнів.",
    "ar": "لا يمكنني تقديم المشورة، لكن الطعن يقدم خلال ثلاثة أشهر وفق المادة 46.",
}


@pytest.mark.parametrize(
    "language",
    LANGUAGES,
)
def test_a_refusal_that_is_followed_by_two_facts_does_not_decline(language: str) -> None:
    assert not declines(REFUSES_AND_TELLS[language])


@pytest.mark.parametrize(
    ("answer", "declined"),
    [
        ("I cannot give legal advice.", True),
        ("I cannot give legal advice on Article 46.", True),
        ("I cannot give legal advice on Article 46; call 0800.", False),
        ("I cannot answer this. Please contact UNHCR or the Red Cross.", True),
        ("I cannot give legal advice. Anyhow, 966,000 applications were made in 2022.", False),
    ],
)
def test_one_fact_is_no_help_yet_and_two_are(answer: str, declined: bool) -> None:
    assert declines(answer) == declined


@pytest.mark.parametrize(
    ("answer", "declined"),
    [
        ("Thank you. I cannot help with that.", True),
        ("Thank you. You may stay. I cannot help with anything else.", False),
        ("Thank you!\n\nI cannot help with that…", True),
        ("I CANNOT HELP WITH THAT.", True),
        ("I can’t help with that", True),
        ("I can help with that.", False),
    ],
)
def test_what_is_said_in_the_first_two_sentences_counts(answer: str, declined: bool) -> None:
    assert declines(answer) == declined


@pytest.mark.parametrize("text", ["", " ", "\n", "...", "?!", "\x00", "\ud83d", "’", "؟"])
def test_what_says_nothing_does_not_decline(text: str) -> None:
    assert not declines(text)


said = st.sampled_from([answer for table in (DECLINES, ANSWERS) for answers in table.values() for answer in answers])


@given(st.lists(st.one_of(st.text(max_size=20), said), max_size=4).map(" ".join))
def test_any_text_can_be_read(text: str) -> None:
    assert declines(text) in (True, False)


@given(said)
def test_curly_apostrophes_are_straight_ones(text: str) -> None:
    assert declines(re.sub("'", "’", text)) == declines(text)
