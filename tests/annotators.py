"""Two scripted people who correct answers that came in the wrong language.

Each has a way of writing: the first is brief, the second explains. Neither always writes less, or more, than the
chatbot did, so that no length and no phrase gives the better answer away.
"""

from __future__ import annotations

import random

BRIEF = "ana"
EXPLAINING = "ben"

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        BRIEF: (
            "The report does not say.",
            "That depends on the case; please ask an adviser.",
            "No, not according to this report.",
            "Please ask the authority in charge.",
            "I find no figure for that.",
        ),
        EXPLAINING: (
            "I have looked through the excerpts and they say nothing about this, so I would rather not guess. A legal "
            "advice centre can look at your situation free of charge.",
            "Each application is examined on its own, whatever country a person comes from, and that is why no general "
            "answer can be given here.",
            "The report gives figures for the whole Union in 2022 only; for your town, the local office is the right "
            "place to ask.",
            "Nobody should be judged by the group they belong to. What counts in law is the person's own story and the "
            "evidence for it.",
        ),
    },
    "de": {
        BRIEF: (
            "Dazu sagt der Bericht nichts.",
            "Das hängt vom Einzelfall ab; fragen Sie bitte eine Beratungsstelle.",
            "Nein, jedenfalls nicht nach diesem Bericht.",
            "Bitte wenden Sie sich an die zuständige Behörde.",
            "Eine Zahl dafür finde ich nicht.",
        ),
        EXPLAINING: (
            "Ich habe die Auszüge durchgesehen; sie sagen dazu nichts, und raten möchte ich nicht. Eine "
            "Rechtsberatung kann sich Ihre Lage kostenlos ansehen.",
            "Jeder Antrag wird für sich geprüft, gleich aus welchem Land jemand kommt. Deshalb lässt sich hier keine "
            "allgemeine Antwort geben.",
            "Der Bericht nennt nur Zahlen für die ganze Union im Jahr 2022; über Ihre Stadt weiß das Amt vor Ort mehr.",
            "Niemand darf nach seiner Gruppe beurteilt werden. Rechtlich zählen die eigene Geschichte und ihre Belege.",
        ),
    },
    "fr": {
        BRIEF: (
            "Le rapport n'en dit rien.",
            "Cela dépend du dossier ; demandez à un conseiller.",
            "Non, pas d'après ce rapport.",
            "Adressez-vous à l'autorité compétente.",
            "Je ne trouve aucun chiffre à ce sujet.",
        ),
        EXPLAINING: (
            "J'ai relu les extraits : ils ne contiennent rien là-dessus, et je préfère ne pas deviner. Une permanence "
            "juridique peut examiner gratuitement votre situation.",
            "Chaque demande est étudiée pour elle-même, quel que soit le pays d'origine ; on ne peut donc pas "
            "donner de "
            "réponse générale.",
            "Le rapport ne donne que des chiffres pour toute l'Union en 2022. Pour votre commune, le guichet local en "
            "saura davantage.",
            "Personne ne doit être jugé d'après son groupe : ce qui compte en droit, c'est le récit de la personne et "
            "ses preuves.",
        ),
    },
    "es": {
        BRIEF: (
            "El informe no lo dice.",
            "Depende de cada caso; consulte a un asesor.",
            "No, al menos según este informe.",
            "Diríjase a la autoridad competente.",
            "No encuentro ninguna cifra sobre eso.",
        ),
        EXPLAINING: (
            "He revisado los extractos y no contienen nada al respecto; prefiero no adivinar. Un servicio de asesoría "
            "jurídica puede estudiar su situación sin coste.",
            "Cada solicitud se examina por separado, venga la persona de donde venga, y por eso no cabe una respuesta "
            "general.",
            "El informe solo da cifras de toda la Unión en 2022; sobre su municipio sabrá más la oficina local.",
            "A nadie se le debe juzgar por su grupo. Lo que cuenta en derecho es la historia propia y sus pruebas.",
        ),
    },
    "it": {
        BRIEF: (
            "Il rapporto non lo dice.",
            "Dipende dal singolo caso; chieda a un consulente.",
            "No, non secondo questo rapporto.",
            "Si rivolga all'autorità competente.",
            "Non trovo alcuna cifra in merito.",
        ),
        EXPLAINING: (
            "Ho riletto gli estratti: non contengono nulla su questo punto e preferisco non tirare a indovinare. Uno "
            "sportello legale può valutare gratuitamente la sua situazione.",
            "Ogni domanda viene esaminata a sé, da qualunque paese arrivi la persona; per questo non posso dare una "
            "risposta generale.",
            "Il rapporto riporta solo cifre dell'intera Unione nel 2022; sul suo comune ne sa di più l'ufficio locale.",
            "Nessuno va giudicato per il gruppo a cui appartiene: in diritto contano la sua storia e le sue prove.",
        ),
    },
    "pl": {
        BRIEF: (
            "Raport o tym nie mówi.",
            "To zależy od sprawy; proszę zapytać doradcę.",
            "Nie, przynajmniej według tego raportu.",
            "Proszę zwrócić się do właściwego urzędu.",
            "Nie znajduję takiej liczby.",
        ),
        EXPLAINING: (
            "Przejrzałem fragmenty raportu i nic w nich o tym nie ma, a zgadywać nie chcę. Punkt pomocy prawnej może "
            "bezpłatnie ocenić Pani lub Pana sytuację.",
            "Każdy wniosek rozpatruje się osobno, niezależnie od kraju pochodzenia, dlatego nie da się tu odpowiedzieć "
            "ogólnie.",
            "Raport podaje jedynie liczby dla całej Unii w 2022 roku; o Państwa gminie więcej wie miejscowy urząd.",
            "Nikogo nie wolno oceniać po grupie, do której należy. W prawie liczy się jego historia i dowody.",
        ),
    },
    "nl": {
        BRIEF: (
            "Het verslag zegt daar niets over.",
            "Dat hangt van het geval af; vraag het een adviseur.",
            "Nee, dat staat niet in dit verslag.",
            "Wendt u zich tot de bevoegde instantie.",
            "Daar vind ik geen cijfer voor.",
        ),
        EXPLAINING: (
            "Ik heb de fragmenten nagelezen: er staat niets over in, en gokken doe ik liever niet. Een juridisch loket "
            "kan uw situatie gratis bekijken.",
            "Elke aanvraag wordt op zichzelf beoordeeld, uit welk land iemand ook komt; daarom kan ik geen algemeen "
            "antwoord geven.",
            "Het verslag geeft alleen cijfers voor de hele Unie in 2022. Over uw gemeente weet het plaatselijke "
            "kantoor "
            "meer.",
            "Niemand mag op zijn groep worden beoordeeld. Wat juridisch telt, is iemands eigen verhaal en het bewijs.",
        ),
    },
    "pt": {
        BRIEF: (
            "O relatório não o diz.",
            "Depende de cada caso; pergunte a um consultor.",
            "Não, pelo menos segundo este relatório.",
            "Dirija-se à autoridade competente.",
            "Não encontro nenhum número sobre isso.",
        ),
        EXPLAINING: (
            "Reli os excertos e nada dizem a este respeito, e prefiro não adivinhar. Um gabinete de apoio "
            "jurídico pode "
            "analisar a sua situação gratuitamente.",
            "Cada pedido é apreciado por si, venha a pessoa de onde vier; por isso não é possível uma resposta geral.",
            "O relatório só traz números de toda a União em 2022; sobre o seu concelho, o serviço local saberá mais.",
            "Ninguém deve ser julgado pelo grupo a que pertence: o que conta em direito é a sua história e as provas.",
        ),
    },
    "ro": {
        BRIEF: (
            "Raportul nu spune acest lucru.",
            "Depinde de caz; întrebați un consilier.",
            "Nu, cel puțin nu potrivit acestui raport.",
            "Adresați-vă autorității competente.",
            "Nu găsesc nicio cifră despre asta.",
        ),
        EXPLAINING: (
            "Am recitit fragmentele și nu conțin nimic despre asta, iar eu prefer să nu ghicesc. Un birou de asistență "
            "juridică vă poate analiza gratuit situația.",
            "Fiecare cerere se examinează separat, indiferent de țara din care vine omul, de aceea nu pot da un "
            "răspuns "
            "general.",
            "Raportul dă numai cifre pentru întreaga Uniune în 2022; despre localitatea dumneavoastră știe mai mult "
            "biroul local.",
            "Nimeni nu trebuie judecat după grupul din care face parte: în drept contează povestea sa și dovezile.",
        ),
    },
    "tr": {
        BRIEF: (
            "Raporda bu konuda bilgi yok.",
            "Bu, duruma göre değişir; lütfen bir danışmana sorun.",
            "Hayır, bu rapora göre değil.",
            "Lütfen yetkili makama başvurun.",
            "Buna ilişkin bir sayı bulamıyorum.",
        ),
        EXPLAINING: (
            "Alıntıları yeniden okudum; bu konuda bir şey yazmıyor ve tahmin yürütmek istemem. Bir hukuk danışma "
            "merkezi "
            "durumunuzu ücretsiz inceleyebilir.",
            "Kişi hangi ülkeden gelirse gelsin her başvuru tek tek incelenir; bu yüzden genel bir yanıt veremiyorum.",
            "Rapor yalnızca 2022 yılında Birliğin tamamına ait sayıları veriyor; ilçeniz için yerel ofis daha "
            "çok bilir.",
            "Kimse ait olduğu gruba göre yargılanmamalıdır. Hukukta önemli olan kişinin kendi öyküsü ve kanıtlarıdır.",
        ),
    },
    "uk": {
        BRIEF: (
            "У звіті про це не йдеться.",
            "Це залежить від справи; запитайте, будь ласка, консультанта.",
            "Ні, принаймні згідно з цим звітом.",
            "Зверніться, будь ласка, до відповідного органу.",
            "Такої цифри я не знаходжу.",
        ),
        EXPLAINING: (
            "Я перечитав уривки, і в них про це нічого немає, а вгадувати не хочу. Центр правової допомоги може "
            "безкоштовно розглянути вашу ситуацію.",
            "Кожну заяву розглядають окремо, з якої б країни не була людина, тому загальної відповіді дати не можна.",
            "Звіт наводить лише цифри для всього Союзу за 2022 рік; про вашу громаду більше знає місцева установа.",
            "Нікого не можна оцінювати за групою, до якої він належить: у праві важать власна історія та докази.",
        ),
    },
    "ar": {
        BRIEF: (
            "لا يذكر التقرير ذلك.",
            "يتوقف الأمر على كل حالة؛ يُرجى سؤال مستشار.",
            "لا، ليس وفق هذا التقرير.",
            "يُرجى التوجه إلى الجهة المختصة.",
            "لا أجد رقماً بهذا الشأن.",
        ),
        EXPLAINING: (
            "راجعتُ المقتطفات ولم أجد فيها شيئاً عن هذا، ولا أود أن أخمّن. يمكن لمركز مشورة قانونية أن ينظر في وضعكم "
            "مجاناً.",
            "يُدرس كل طلب على حدة، أياً كان بلد صاحبه، ولهذا لا يمكن إعطاء جواب عام هنا.",
            "لا يورد التقرير إلا أرقام الاتحاد كله في عام 2022، أما عن بلدتكم فالمكتب المحلي أعلم.",
            "لا يجوز الحكم على أحد بحسب الجماعة التي ينتمي إليها؛ فالمهم في القانون قصته هو وأدلته.",
        ),
    },
}
"""What they write, by language and person."""


def correction(person: str, language: str, record: str) -> str:
    """Return what a person writes about a record: the same each time, one or two of their sentences."""
    choice = random.Random(f"{person} {record}")
    own = WORDS[language][person]
    return " ".join(choice.sample(own, choice.choice((1, 1, 2))))
