"""Facts in eleven languages: what is read, what is no claim, and what counts as the same."""

from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bias_suite.facts import LANGUAGES, Fact, find, number, supported

KINDS = [
    ("en", "In 2022, the member states received 966,000 applications.", "number 2022; number 966000"),
    ("en", "The recognition rate rose to 39 %.", "percentage 39"),
    ("en", "An appeal must be lodged within six weeks.", "duration 42 day"),
    ("en", "Temporary protection was activated on 4 March 2022.", "date 2022-03-04"),
    ("en", "Under Article 10(3), the interview is confidential.", "article 10(3)"),
    ("en", "This follows from Regulation (EU) No 604/2013.", "act 604/2013"),
    ("en", "Frontex counted fewer crossings than before.", "agency Frontex"),
    ("de", "Im Jahr 2022 wurden 966.000 Anträge gestellt.", "number 2022; number 966000"),
    ("de", "Die Anerkennungsquote lag bei 39 Prozent.", "percentage 39"),
    ("de", "Die Klage ist innerhalb von zwei Wochen zu erheben.", "duration 14 day"),
    ("de", "Die Richtlinie wird seit dem 4. März 2022 angewandt.", "date 2022-03-04"),
    ("de", "Nach Artikel 10 Absatz 3 ist die Anhörung vertraulich.", "article 10(3)"),
    ("de", "Maßgeblich ist die Verordnung (EU) Nr. 604/2013.", "act 604/2013"),
    ("de", "Über den Antrag entscheidet das BAMF.", "agency BAMF"),
    ("fr", "En 2022, les États membres ont reçu 966 000 demandes.", "number 2022; number 966000"),
    ("fr", "Le taux de reconnaissance a atteint 39 pour cent.", "percentage 39"),
    ("fr", "La décision est prise dans un délai de six mois.", "duration 6 month"),
    ("fr", "La protection temporaire a été activée le 4 mars 2022.", "date 2022-03-04"),
    ("fr", "L'article 10, paragraphe 3, garantit la confidentialité.", "article 10(3)"),
    ("fr", "C'est ce que prévoit le règlement (UE) n° 604/2013.", "act 604/2013"),
    ("fr", "L'OFPRA examine la demande.", "agency OFPRA"),
    ("es", "En 2022 se presentaron 966.000 solicitudes.", "number 2022; number 966000"),
    ("es", "La tasa de reconocimiento fue del 39 por ciento.", "percentage 39"),
    ("es", "El recurso se presenta en un plazo de tres meses.", "duration 3 month"),
    ("es", "La directiva se aplica desde el 4 de marzo de 2022.", "date 2022-03-04"),
    ("es", "El artículo 10, apartado 3, protege la confidencialidad.", "article 10(3)"),
    ("es", "Lo dispone el Reglamento (UE) n.º 604/2013.", "act 604/2013"),
    ("es", "El ACNUR acompaña a los solicitantes.", "agency UNHCR"),
    ("it", "Nel 2022 sono state presentate 966.000 domande.", "number 2022; number 966000"),
    ("it", "Il tasso di riconoscimento è stato del 39 per cento.", "percentage 39"),
    ("it", "Il permesso di soggiorno vale cinque anni.", "duration 60 month"),
    ("it", "La protezione temporanea è in vigore dal 4 marzo 2022.", "date 2022-03-04"),
    ("it", "L'articolo 10, paragrafo 3, tutela la riservatezza.", "article 10(3)"),
    ("it", "Lo prevede la direttiva 2013/32/UE.", "act 2013/32"),
    ("it", "L'OIM assiste chi vuole tornare nel proprio paese.", "agency IOM"),
    ("nl", "In 2022 werden 966.000 aanvragen ingediend.", "number 2022; number 966000"),
    ("nl", "Het inwilligingspercentage was 39 procent.", "percentage 39"),
    ("nl", "Beroep moet binnen vier weken worden ingesteld.", "duration 28 day"),
    ("nl", "De richtlijn wordt sinds 4 maart 2022 toegepast.", "date 2022-03-04"),
    ("nl", "Volgens artikel 10, lid 3, is het gehoor vertrouwelijk.", "article 10(3)"),
    ("nl", "Dat staat in Verordening (EU) nr. 604/2013.", "act 604/2013"),
    ("nl", "Het Asielagentschap van de Europese Unie helpt de lidstaten.", "agency EUAA"),
    ("pl", "W 2022 roku złożono 966 000 wniosków.", "number 2022; number 966000"),
    ("pl", "Odsetek decyzji pozytywnych wyniósł 39 procent.", "percentage 39"),
    ("pl", "Decyzja zapada w ciągu sześciu miesięcy.", "duration 6 month"),
    ("pl", "Ochrona tymczasowa obowiązuje od 4 marca 2022 r.", "date 2022-03-04"),
    ("pl", "Zgodnie z art. 10 ust. 3 przesłuchanie jest poufne.", "article 10(3)"),
    ("pl", "Wynika to z rozporządzenia (UE) nr 604/2013.", "act 604/2013"),
    ("pl", "Agencja Unii Europejskiej ds. Azylu wspiera państwa członkowskie.", "agency EUAA"),
    ("ro", "În 2022 au fost depuse 966.000 de cereri.", "number 2022; number 966000"),
    ("ro", "Rata de recunoaștere a fost de 39 la sută.", "percentage 39"),
    ("ro", "Contestația se depune în termen de zece zile.", "duration 10 day"),
    ("ro", "Protecția temporară se aplică din 4 martie 2022.", "date 2022-03-04"),
    ("ro", "Articolul 10 protejează confidențialitatea interviului.", "article 10"),
    ("ro", "Acest lucru reiese din Regulamentul (UE) nr. 604/2013.", "act 604/2013"),
    ("ro", "Datele sunt publicate de Eurostat.", "agency Eurostat"),
    ("tr", "2022 yılında 966.000 başvuru yapıldı.", "number 2022; number 966000"),
    ("tr", "Kabul oranı yüzde 39 oldu.", "percentage 39"),
    ("tr", "İtiraz süresi yedi gündür.", "duration 7 day"),
    ("tr", "Geçici koruma 4 Mart 2022'de başladı.", "date 2022-03-04"),
    ("tr", "10. madde görüşmenin gizliliğini güvence altına alır.", "article 10"),
    ("tr", "Dayanağı 604/2013 sayılı Tüzük'tür.", "act 604/2013"),
    ("tr", "BMMYK başvuru sahiplerine destek verir.", "agency UNHCR"),
    ("uk", "У 2022 році було подано 966 000 заяв.", "number 2022; number 966000"),
    ("uk", "Частка позитивних рішень становила 39 відсотків.", "percentage 39"),
    ("uk", "Рішення ухвалюють протягом трьох місяців.", "duration 3 month"),
    ("uk", "Тимчасовий захист діє з 4 березня 2022 року.", "date 2022-03-04"),
    ("uk", "Згідно зі статтею 10 співбесіда є конфіденційною.", "article 10"),
    ("uk", "Це передбачає Регламент (ЄС) № 604/2013.", "act 604/2013"),
    ("uk", "Дані публікує Євростат.", "agency Eurostat"),
    ("ar", "في عام 2022 قُدِّم 966,000 طلب لجوء.", "number 2022; number 966000"),
    ("ar", "بلغت نسبة القبول 39 في المئة.", "percentage 39"),
    ("ar", "يجب تقديم الطعن خلال ثلاثة أشهر.", "duration 3 month"),
    ("ar", "بدأت الحماية المؤقتة في 4 مارس 2022.", "date 2022-03-04"),
    ("ar", "تضمن المادة 10 سرية المقابلة.", "article 10"),
    ("ar", "ورد ذلك في اللائحة رقم 604/2013.", "act 604/2013"),
    ("ar", "تنشر يوروستات هذه الأرقام.", "agency Eurostat"),
]
NUMBERS = [
    ("en", "966,000", "number 966000"),
    ("en", "966.000", "number 966000"),
    ("en", "966 000", "number 966000"),
    ("en", "966\u00a0000", "number 966000"),
    ("en", "966\u202f000", "number 966000"),
    ("en", "966\u2009000", "number 966000"),
    ("en", "966'000", "number 966000"),
    ("en", "966’000", "number 966000"),
    ("en", "966000", "number 966000"),
    ("en", "1,234,567.89 euros", "number 1234567.89"),
    ("de", "1.234.567,89 Euro", "number 1234567.89"),
    ("fr", "1 234 567,89 euros", "number 1234567.89"),
    ("de", "1,5", "number 1.5"),
    ("en", "1.5", "number 1.5"),
    ("en", "0.5 %", "percentage 0.5"),
    ("de", "0,5 Prozent", "percentage 0.5"),
    ("en", "4 million people", "number 4000000"),
    ("de", "4,2 Mio. Menschen", "number 4200000"),
    ("de", "4,2 Millionen Menschen", "number 4200000"),
    ("fr", "4,2 millions de personnes", "number 4200000"),
    ("es", "4,2 millones de personas", "number 4200000"),
    ("es", "4 mil millones de euros", "number 4000000000"),
    ("it", "4,2 milioni di persone", "number 4200000"),
    ("it", "12 mila domande", "number 12000"),
    ("nl", "4,2 miljoen mensen", "number 4200000"),
    ("nl", "12 duizend aanvragen", "number 12000"),
    ("nl", "3 miljard euro", "number 3000000000"),
    ("pl", "4,2 mln osób", "number 4200000"),
    ("pl", "4,2 miliona osób", "number 4200000"),
    ("pl", "12 tys. wniosków", "number 12000"),
    ("pl", "3 miliardy euro", "number 3000000000"),
    ("pl", "5 milionów osób", "number 5000000"),
    ("pl", "12 tysięcy wniosków", "number 12000"),
    ("ro", "4,2 milioane de persoane", "number 4200000"),
    ("ro", "12 mii de cereri", "number 12000"),
    ("ro", "3 miliarde de euro", "number 3000000000"),
    ("tr", "4,2 milyon kişi", "number 4200000"),
    ("tr", "12 bin başvuru", "number 12000"),
    ("tr", "3 milyar avro", "number 3000000000"),
    ("uk", "4,2 мільйона осіб", "number 4200000"),
    ("uk", "12 тисяч заяв", "number 12000"),
    ("uk", "12 тис. заяв", "number 12000"),
    ("uk", "3 мільярди євро", "number 3000000000"),
    ("uk", "4,2 млн осіб", "number 4200000"),
    ("ar", "4.2 مليون شخص", "number 4200000"),
    ("ar", "12 ألف طلب", "number 12000"),
    ("ar", "3 مليارات يورو", "number 3000000000"),
    ("ar", "٩٦٦٬٠٠٠ طلب", "number 966000"),
    ("ar", "٣٩٪", "percentage 39"),
    ("ar", "٣٫٥ في المئة", "percentage 3.5"),
    ("ar", "خلال ٦ أشهر", "duration 6 month"),
    ("ar", "المادة ١٠", "article 10"),
    ("en", "12 thousand requests", "number 12000"),
    ("en", "twelve thousand requests", "number 12000"),
    ("en", "3 billion euros", "number 3000000000"),
    ("de", "3 Milliarden Euro", "number 3000000000"),
    ("fr", "3 milliards d'euros", "number 3000000000"),
    ("de", "drei Millionen Menschen", "number 3000000"),
    ("en", "four million people", "number 4000000"),
    ("de", "12 Tsd. Anträge", "number 12000"),
    ("de", "12 Mrd. Euro", "number 12000000000"),
    ("pl", "3 mld euro", "number 3000000000"),
    ("it", "3 mld. di euro", "number 3000000000"),
    ("uk", "3 млрд євро", "number 3000000000"),
    ("en", "0.125", "number 0.125"),
    ("de", "0,125", "number 0.125"),
    ("en", "12.345", "number 12345"),
    ("en", "1,234.5", "number 1234.5"),
    ("en", "thirteen people", "number 13"),
    ("en", "one hundred people", "number 100"),
    ("en", "in 2022 966,000 people", "number 2022; number 966000"),
    ("en", "1 000 2 000", "number 1000; number 2000"),
]
YEARS = [
    ("en", "Numbers rose from 2019 to 2022.", "number 2019; number 2022"),
    ("de", "zwischen 2019 und 2022", "number 2019; number 2022"),
    ("en", "the 2013 report", "number 2013"),
    ("pl", "w latach 2019-2022", "number 2019; number 2022"),
    ("pl", "do końca 2022 roku", "number 2022"),
    ("uk", "до кінця 2022 року", "number 2022"),
    ("tr", "2022 yılı sonunda", "number 2022"),
    ("pl", "w roku 2022", "number 2022"),
    ("uk", "за 2022 рік", "number 2022"),
]
RANGES = [
    ("en", "It takes 3 to 10 working days.", "duration 3 day; duration 10 day"),
    ("de", "3 bis 10 Arbeitstage", "duration 3 day; duration 10 day"),
    ("fr", "3 à 10 jours", "duration 3 day; duration 10 day"),
    ("es", "de 3 a 10 días", "duration 3 day; duration 10 day"),
    ("it", "da 3 a 10 giorni", "duration 3 day; duration 10 day"),
    ("nl", "3 tot 10 werkdagen", "duration 3 day; duration 10 day"),
    ("pl", "od 3 do 10 dni", "duration 3 day; duration 10 day"),
    ("ro", "între 3 și 10 zile", "duration 3 day; duration 10 day"),
    ("tr", "3 ile 10 gün arasında", "duration 3 day; duration 10 day"),
    ("uk", "від 3 до 10 днів", "duration 3 day; duration 10 day"),
    ("ar", "من 3 إلى 10 أيام", "duration 3 day; duration 10 day"),
    ("en", "3-10 days", "duration 3 day; duration 10 day"),
    ("en", "3–10 days", "duration 3 day; duration 10 day"),
    ("en", "between 20 and 30 %", "percentage 20; percentage 30"),
    ("en", "two or three months", "duration 2 month; duration 3 month"),
    ("ar", "بين 3 و10 أيام", "duration 3 day; duration 10 day"),
    ("en", "Articles 14 to 17", "article 14; article 15; article 16; article 17"),
    ("de", "Artikel 14 bis 17", "article 14; article 15; article 16; article 17"),
    ("fr", "les articles 14 à 17", "article 14; article 15; article 16; article 17"),
    ("es", "los artículos 14 a 17", "article 14; article 15; article 16; article 17"),
    ("it", "gli articoli 14-17", "article 14; article 15; article 16; article 17"),
    ("it", "gli articoli da 14 a 17", "article 14; article 15; article 16; article 17"),
    ("nl", "artikelen 14 tot 17", "article 14; article 15; article 16; article 17"),
    ("nl", "artikelen 14 tot en met 17", "article 14; article 15; article 16; article 17"),
    ("pl", "art. 14-17", "article 14; article 15; article 16; article 17"),
    ("pl", "artykuły 14 do 17", "article 14; article 15; article 16; article 17"),
    ("uk", "статті 14 до 17", "article 14; article 15; article 16; article 17"),
    ("uk", "статті 14–17", "article 14; article 15; article 16; article 17"),
    ("ar", "المواد 14 إلى 17", "article 14; article 15; article 16; article 17"),
    ("ro", "articolele 14-17", "article 14; article 15; article 16; article 17"),
    ("tr", "14 ila 17. maddeler", "article 14; article 15; article 16; article 17"),
    ("en", "Articles 14 and 17", "article 14; article 17"),
    ("en", "Articles 14, 17 and 20", "article 14; article 17; article 20"),
    ("de", "Artikel 14 und 17", "article 14; article 17"),
    ("en", "Articles 14(2) and 17(1)", "article 14(2); article 17(1)"),
]
ARTICLES = [
    ("en", "Article 10 (3)", "article 10(3)"),
    ("en", "Article 10, paragraph 3", "article 10(3)"),
    ("de", "Art. 10 Abs. 3", "article 10(3)"),
    ("it", "art. 10 comma 3", "article 10(3)"),
    ("uk", "ст. 10 ч. 3", "article 10(3)"),
    ("pl", "artykuł 10 ustęp 3", "article 10(3)"),
    ("pl", "artykułu 10", "article 10"),
    ("pl", "w artykule 10", "article 10"),
    ("en", "Art. 4a", "article 4"),
    ("de", "Artikel 16a", "article 16"),
    ("ro", "articolului 10", "article 10"),
    ("ro", "art. 10 alin. (3)", "article 10(3)"),
    ("ro", "articolul 10 alineatul (3)", "article 10(3)"),
    ("tr", "Madde 10", "article 10"),
    ("tr", "10'uncu madde", "article 10"),
    ("tr", "10'uncu maddesi", "article 10"),
    ("tr", "3'üncü maddeye göre", "article 3"),
    ("tr", "5. maddede", "article 5"),
    ("uk", "статей 14 і 17", "article 14; article 17"),
    ("de", "Artikels 10", "article 10"),
    ("en", "Article 10(2) allows it.", "article 10(2)"),
    ("en", "Article 10(1) and Article 3", "article 10(1); article 3"),
    ("ar", "في المادة 10", "article 10"),
    ("ar", "وفقا للمادة 10", "article 10"),
    ("ar", "بالمادة 10", "article 10"),
    ("en", "Article 3 of Regulation 2024/1351", "article 3; act 2024/1351"),
    ("tr", "Görüşme, 10. maddeye göre gizlidir.", "article 10"),
    ("uk", "у статті 10", "article 10"),
    ("fr", "l’article 10", "article 10"),
]
ACTS = [
    ("en", "Directive 2013/32/EU", "act 2013/32"),
    ("en", "Regulation (EU) 2024/1348", "act 2024/1348"),
    ("en", "Directive 2001/55/EC", "act 2001/55"),
    ("fr", "directive 2001/55/CE", "act 2001/55"),
    ("de", "Richtlinie 2001/55/EG", "act 2001/55"),
    ("pl", "dyrektywa 2001/55/WE", "act 2001/55"),
    ("uk", "Директива 2001/55/ЄС", "act 2001/55"),
    ("es", "Reglamento (UE) 2016/679", "act 2016/679"),
    ("en", "Council Decision 2022/382", "act 2022/382"),
    ("en", "Regulation 604/2013", "act 604/2013"),
]
DATES = [
    ("en", "4 March 2022", "date 2022-03-04"),
    ("en", "March 4, 2022", "date 2022-03-04"),
    ("en", "March 4th, 2022", "date 2022-03-04"),
    ("en", "4th of March 2022", "date 2022-03-04"),
    ("en", "the 4th March, 2022", "date 2022-03-04"),
    ("en", "March 2022", "date 2022-03"),
    ("en", "4 March", "date --03-04"),
    ("en", "March 4", "date --03-04"),
    ("en", "2022-03-04", "date 2022-03-04"),
    ("de", "04.03.2022", "date 2022-03-04"),
    ("de", "4.3.2022", "date 2022-03-04"),
    ("fr", "04/03/2022", "date 2022-03-04"),
    ("fr", "1er mars 2022", "date 2022-03-01"),
    ("fr", "le 1er mars", "date --03-01"),
    ("es", "4 de marzo", "date --03-04"),
    ("es", "marzo de 2022", "date 2022-03"),
    ("es", "4 de marzo del 2022", "date 2022-03-04"),
    ("it", "1º marzo 2022", "date 2022-03-01"),
    ("it", "1° marzo 2022", "date 2022-03-01"),
    ("it", "l'8 marzo 2022", "date 2022-03-08"),
    ("de", "im März 2022", "date 2022-03"),
    ("de", "am 4. März", "date --03-04"),
    ("pl", "marzec 2022", "date 2022-03"),
    ("pl", "4 marca", "date --03-04"),
    ("uk", "4 березня", "date --03-04"),
    ("uk", "березень 2022", "date 2022-03"),
    ("tr", "4 Mart", "date --03-04"),
    ("tr", "Mart 2022", "date 2022-03"),
    ("ar", "مارس 2022", "date 2022-03"),
    ("ro", "4 martie", "date --03-04"),
    ("nl", "maart 2022", "date 2022-03"),
    ("nl", "4 mrt. 2022", "date 2022-03-04"),
    ("fr", "4 février 2022", "date 2022-02-04"),
    ("tr", "12 Eylül 2022", "date 2022-09-12"),
    ("tr", "5 Kasım 2022", "date 2022-11-05"),
    ("uk", "31 січня 2023", "date 2023-01-31"),
    ("pl", "1 września 2022", "date 2022-09-01"),
    ("ar", "٤ مارس ٢٠٢٢", "date 2022-03-04"),
    ("de", "31. Mai 2022", "date 2022-05-31"),
    ("en", "1 May 2022", "date 2022-05-01"),
    ("fr", "3 août 2022", "date 2022-08-03"),
    ("ro", "15 ianuarie 2022", "date 2022-01-15"),
    ("nl", "15 januari 2022", "date 2022-01-15"),
    ("en", "between 1 January and 30 June 2022", "date --01-01; date 2022-06-30"),
    ("de", "4. März 2022", "date 2022-03-04"),
    ("de", "Am 4. März 2022 begann der Schutz.", "date 2022-03-04"),
    ("de", "Seit dem 1. Mai.", "date --05-01"),
    ("tr", "4 Kasim 2022", "date 2022-11-04"),
    ("en", "4 Aprıl 2022", "date 2022-04-04"),
    ("tr", "4 KASIM 2022", "date 2022-11-04"),
]
LENGTHS = [
    ("en", "twenty-one days", "duration 21 day"),
    ("en", "eighteen months", "duration 18 month"),
    ("de", "einundzwanzig Tage", "duration 21 day"),
    ("de", "achtzehn Monate", "duration 18 month"),
    ("fr", "vingt et un jours", "duration 21 day"),
    ("fr", "dix-huit mois", "duration 18 month"),
    ("es", "veintiún días", "duration 21 day"),
    ("es", "dieciocho meses", "duration 18 month"),
    ("it", "diciotto mesi", "duration 18 month"),
    ("it", "ventuno giorni", "duration 21 day"),
    ("nl", "achttien maanden", "duration 18 month"),
    ("nl", "eenentwintig dagen", "duration 21 day"),
    ("pl", "osiemnaście miesięcy", "duration 18 month"),
    ("ro", "optsprezece luni", "duration 18 month"),
    ("ro", "douăzeci și unu de zile", "duration 21 day"),
    ("tr", "on sekiz ay", "duration 18 month"),
    ("tr", "yirmi bir gün", "duration 21 day"),
    ("uk", "вісімнадцять місяців", "duration 18 month"),
    ("ar", "ثمانية عشر شهرا", "duration 18 month"),
    ("ar", "سبعة أيام", "duration 7 day"),
    ("ar", "خمس سنوات", "duration 60 month"),
    ("ar", "ثلاث سنوات", "duration 36 month"),
    ("en", "forty per cent", "percentage 40"),
    ("de", "vierzig Prozent", "percentage 40"),
    ("fr", "quarante pour cent", "percentage 40"),
    ("pl", "czterdzieści procent", "percentage 40"),
    ("pl", "dwa lata", "duration 24 month"),
    ("pl", "po dwóch latach", "duration 24 month"),
    ("pl", "w ciągu pięciu dni", "duration 5 day"),
    ("pl", "przed upływem trzech tygodni", "duration 21 day"),
    ("pl", "5 lat", "duration 60 month"),
    ("pl", "3 miesiące", "duration 3 month"),
    ("pl", "48 godzin", "duration 48 hour"),
    ("pl", "po trzech miesiącach", "duration 3 month"),
    ("pl", "czternastu dni", "duration 14 day"),
    ("pl", "14 dniach", "duration 14 day"),
    ("pl", "dwa tygodnie", "duration 14 day"),
    ("pl", "2 tygodni", "duration 14 day"),
    ("uk", "два роки", "duration 24 month"),
    ("uk", "п'ять років", "duration 60 month"),
    ("uk", "п’ять років", "duration 60 month"),
    ("uk", "протягом десяти днів", "duration 10 day"),
    ("uk", "через шість місяців", "duration 6 month"),
    ("uk", "48 годин", "duration 48 hour"),
    ("uk", "три дні", "duration 3 day"),
    ("uk", "2 тижні", "duration 14 day"),
    ("uk", "двох тижнів", "duration 14 day"),
    ("uk", "дев'яти місяців", "duration 9 month"),
    ("uk", "за 3 роки", "duration 36 month"),
    ("uk", "чотирнадцять днів", "duration 14 day"),
    ("ro", "treizeci de zile", "duration 30 day"),
    ("ro", "30 de zile", "duration 30 day"),
    ("ro", "două luni", "duration 2 month"),
    ("ro", "5 ani", "duration 60 month"),
    ("ro", "48 de ore", "duration 48 hour"),
    ("ro", "trei săptămâni", "duration 21 day"),
    ("tr", "30 gün içinde", "duration 30 day"),
    ("tr", "altı ay", "duration 6 month"),
    ("tr", "iki yıl", "duration 24 month"),
    ("tr", "2 haftalık", "duration 14 day"),
    ("tr", "48 saat", "duration 48 hour"),
    ("tr", "15 iş günü", "duration 15 day"),
    ("it", "48 ore", "duration 48 hour"),
    ("it", "due settimane", "duration 14 day"),
    ("it", "sei mesi", "duration 6 month"),
    ("es", "dos años", "duration 24 month"),
    ("es", "48 horas", "duration 48 hour"),
    ("fr", "48 heures", "duration 48 hour"),
    ("fr", "deux ans", "duration 24 month"),
    ("fr", "quinze jours", "duration 15 day"),
    ("fr", "trois semaines", "duration 21 day"),
    ("nl", "zes maanden", "duration 6 month"),
    ("nl", "2 jaar", "duration 24 month"),
    ("nl", "48 uur", "duration 48 hour"),
    ("nl", "drie dagen", "duration 3 day"),
    ("de", "48 Stunden", "duration 48 hour"),
    ("de", "drei Jahre", "duration 36 month"),
    ("de", "in sechs Monaten", "duration 6 month"),
    ("de", "binnen zehn Tagen", "duration 10 day"),
    ("en", "six further months", "duration 6 month"),
    ("en", "6-month period", "duration 6 month"),
    ("en", "a six-month period", "duration 6 month"),
    ("en", "a hundred people", "number 100"),
    ("ar", "6 أشهر", "duration 6 month"),
    ("ar", "ستة أشهر", "duration 6 month"),
    ("ar", "30 يوما", "duration 30 day"),
    ("ar", "30 يومًا", "duration 30 day"),
    ("ar", "30 يوماً", "duration 30 day"),
    ("ar", "5 سنوات", "duration 60 month"),
    ("ar", "48 ساعة", "duration 48 hour"),
    ("ar", "بنسبة 39%", "percentage 39"),
    ("ar", "39 بالمئة", "percentage 39"),
    ("de", "dreißig Tage", "duration 30 day"),
    ("tr", "Altı ay", "duration 6 month"),
    ("tr", "alti ay", "duration 6 month"),
    ("en", "Six months", "duration 6 month"),
    ("en", "six months or two years", "duration 6 month; duration 24 month"),
]
SHARES = [
    ("es", "39%", "percentage 39"),
    ("tr", "%39", "percentage 39"),
    ("uk", "39%", "percentage 39"),
    ("uk", "39 відсотка", "percentage 39"),
    ("ro", "39%", "percentage 39"),
    ("ro", "39 de procente", "percentage 39"),
    ("en", "39 percent", "percentage 39"),
    ("de", "39 v. H.", "percentage 39"),
    ("nl", "39%", "percentage 39"),
]
NO_CLAIM = [
    ("en", "COVID-19 changed everything.", ""),
    ("en", "the EU-27", ""),
    ("de", "die EU27", ""),
    ("en", "Dublin III", ""),
    ("en", "1. Apply.\n2. Wait.\n3. Appeal.", ""),
    ("en", "1) Apply.\n2) Wait.", ""),
    ("en", "(1) Apply.\n(2) Wait.", ""),
    ("en", "First: 1. Apply at the office. 2. Wait for the letter. 3. Appeal.", ""),
    ("en", "the 1st and the 2nd interview", ""),
    ("en", "the 3rd time", ""),
    ("en", "the 21st century", ""),
    ("fr", "le 1er entretien", ""),
    ("fr", "la 2e instance", ""),
    ("fr", "au 21ème siècle", ""),
    ("it", "il 3º colloquio", ""),
    ("es", "la 2ª entrevista", ""),
    ("de", "die 2. Anhörung", ""),
    ("de", "im 21. Jahrhundert", ""),
    ("pl", "2. rozmowa", ""),
    ("tr", "2. görüşme", ""),
    ("nl", "de 2e afspraak", ""),
    ("en", "You have two options.", ""),
    ("de", "Es gibt zwei Möglichkeiten.", ""),
    ("en", "one person", ""),
    ("en", "a 17-year-old girl", ""),
    ("en", "one of three reasons", ""),
    ("fr", "deux possibilités", ""),
    ("es", "dos opciones", ""),
    ("pl", "dwie możliwości", ""),
    ("uk", "дві можливості", ""),
    ("ar", "هناك خياران", ""),
    ("tr", "iki seçenek", ""),
    ("en", "G20", ""),
    ("en", "Form A38", ""),
    ("en", "case #12", ""),
    ("en", "You may stay.", ""),
    ("es", "sin duda", ""),
    ("en", "the EU and the UN", ""),
    ("en", "You must NOT travel, YES or NO.", ""),
    ("en", "", ""),
    ("en", "   ", ""),
    ("en", "Applicants over 16 may apply alone.", "number 16"),
    ("de", "als sie 2022 kamen", "number 2022"),
    ("en", "1. Apply.\n\n2. Wait.", ""),
    ("en", "**1. Apply**\n**2. Wait**", ""),
    ("en", "Step 1: Register. Step 2: Wait.", ""),
    ("en", "NOTE: You MUST apply in person.", ""),
    ("en", "Children of 12 years and a 17-year-old", "duration 144 month"),
    ("en", "a 3-year-old", ""),
    ("en", "5G and H1N1", ""),
    ("en", "SIS and VIS", ""),
    ("en", "Chapter IV, Annex VII", ""),
]
AGENCIES = [
    ("en", "the European Union Agency for Asylum", "agency EUAA"),
    ("de", "die Asylagentur der Europäischen Union", "agency EUAA"),
    ("fr", "l'Agence de l'Union européenne pour l'asile", "agency EUAA"),
    ("es", "la Agencia de Asilo de la Unión Europea", "agency EUAA"),
    ("it", "l'Agenzia dell'Unione europea per l'asilo", "agency EUAA"),
    ("uk", "Агентство Європейського Союзу з питань притулку", "agency EUAA"),
    ("fr", "l’Agence de l’Union européenne pour l’asile", "agency EUAA"),
    ("it", "l’Agenzia dell’Unione europea per l’asilo", "agency EUAA"),
    ("en", "EUAA", "agency EUAA"),
    ("en", "the European Border and Coast Guard Agency", "agency Frontex"),
    ("uk", "Фронтекс", "agency Frontex"),
    ("ar", "فرونتكس", "agency Frontex"),
    ("en", "United Nations High Commissioner for Refugees", "agency UNHCR"),
    ("de", "das Flüchtlingshilfswerk der Vereinten Nationen", "agency UNHCR"),
    ("ar", "مفوضية اللاجئين", "agency UNHCR"),
    ("de", "die Europäische Kommission", "agency Commission"),
    ("fr", "la Commission européenne", "agency Commission"),
    ("pl", "Komisja Europejska", "agency Commission"),
    ("tr", "Avrupa Komisyonu", "agency Commission"),
    ("ar", "المفوضية الأوروبية", "agency Commission"),
    ("en", "European Court of Human Rights", "agency ECtHR"),
    ("en", "CJEU", "agency CJEU"),
    ("en", "Court of Justice of the European Union", "agency CJEU"),
    ("en", "eu-LISA", "agency eu-LISA"),
    ("fr", "la Croix-Rouge", "agency Red Cross"),
    ("en", "the European Agency for Returns", "agency european agency for returns"),
    ("en", "the XYZQ office", "agency XYZQ"),
    ("en", "the National Migration Observatory", "agency national migration observatory"),
]


def told(text: str, language: str = "en") -> str:
    """Return the facts of a text, as the tables write them."""
    return "; ".join(f"{fact.kind} {fact.value}" for fact in find(text, (language, "en")))


def test_every_language_has_a_sentence_of_every_kind() -> None:
    sentences = [row.values if hasattr(row, "values") else row for row in KINDS]
    kinds = ("number", "percentage", "duration", "date", "article", "act", "agency")
    for language in LANGUAGES:
        facts = "; ".join(str(expected) for name, _, expected in sentences if name == language)
        assert all(f"{kind} " in facts for kind in kinds), language


@pytest.mark.parametrize(("language", "text", "expected"), KINDS)
def test_a_sentence_in_every_language_and_of_every_kind(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), NUMBERS)
def test_a_number_is_the_same_however_it_is_written(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), YEARS)
def test_a_year_is_a_number(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), RANGES)
def test_a_range_is_both_of_its_ends_and_every_article_between(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), ARTICLES)
def test_an_article_of_law_with_its_paragraph(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), ACTS)
def test_an_act_is_its_number_and_year(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), DATES)
def test_a_date_is_the_same_however_it_is_written(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), LENGTHS)
def test_a_length_of_time_in_digits_and_words_and_cases(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), SHARES)
def test_a_percentage(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), NO_CLAIM)
def test_what_is_no_claim_is_left_out(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


@pytest.mark.parametrize(("language", "text", "expected"), AGENCIES)
def test_an_agency_by_its_short_and_its_long_name(language: str, text: str, expected: str) -> None:
    assert told(text, language) == expected


# Languages


def test_spelled_out_numbers_are_read_in_the_languages_asked_for() -> None:
    assert find("sechs Monate", ("en",)) == []
    assert [fact.value for fact in find("sechs Monate", ("de",))] == ["6 month"]
    assert [fact.value for fact in find("six Monate, six mois", LANGUAGES)] == ["6 month", "6 month"]


def test_digits_units_and_months_are_read_in_all_languages() -> None:
    text = "6 Monate, 39 procent, 4 березня 2022, art. 10"
    assert [fact.value for fact in find(text, ("en",))] == ["6 month", "39", "2022-03-04", "10"]


@pytest.mark.parametrize("languages", [(), ("zz",), ("zz", "pt")])
def test_without_a_known_language_digits_are_read_all_the_same(languages: tuple[str, ...]) -> None:
    assert [fact.value for fact in find("six months or 6 months", languages)] == ["6 month"]


# Places


def test_facts_come_in_the_order_of_the_text_with_their_words() -> None:
    text = "The EUAA says: 39 % on 4 March 2022, within six weeks (Article 10(3) of 2013/32/EU), 966,000."
    assert [(fact.text, fact.start) for fact in find(text)] == [
        (words, text.index(words))
        for words in ("EUAA", "39 %", "4 March 2022", "six weeks", "Article 10(3)", "2013/32/EU", "966,000")
    ]


def test_the_words_of_a_fact_are_quoted_with_arabic_digits() -> None:
    (fact,) = find("خلال ٦ أشهر", ("ar",))
    assert fact.text == "٦ أشهر"


_PIECES = [str(row[1]) for row in [*KINDS, *NUMBERS, *DATES, *NO_CLAIM]]
pieces = st.sampled_from(_PIECES)
mixed = st.lists(st.one_of(pieces, st.text(max_size=8)), max_size=5).map(" ".join)
western = mixed.filter(lambda text: not any("٠" <= sign <= "٬" for sign in text))


@given(mixed, st.sets(st.sampled_from(LANGUAGES), min_size=1))
def test_any_text_can_be_read(text: str, languages: set[str]) -> None:
    for fact in find(text, languages):
        assert 0 <= fact.start <= len(text)
        assert fact.value


@given(western, st.sampled_from(LANGUAGES))
def test_a_fact_stands_where_it_says(text: str, language: str) -> None:
    facts = find(text, (language, "en"))
    for fact in facts:
        assert text[fact.start : fact.start + len(fact.text)] == fact.text
    assert [fact.start for fact in facts] == sorted(fact.start for fact in facts)


@given(mixed, st.sampled_from(LANGUAGES))
def test_reading_again_reads_the_same(text: str, language: str) -> None:
    assert find(text, (language,)) == find(text, [language, language])


@pytest.mark.parametrize("text", ["4 Kasim 2022", "4 Aprıl 2022", "alti ay"])
def test_a_dotless_i_does_not_crash(text: str) -> None:
    assert len(find(text, ("tr",))) == 1


# Sentences stand for themselves: what is read in two of them is what is read in each. Not so for a number at the end,
# which a number at the beginning of the next would join, nor for numbers of lists; hence the sentences of the first
# table, which begin and end with a word.

apart = st.sampled_from([(row[0], row[1]) for row in KINDS if not hasattr(row, "values") and row[1][0].isalpha()])


@given(apart, apart)
def test_two_sentences_state_what_each_of_them_states(first: tuple[str, str], second: tuple[str, str]) -> None:
    (one, before), (other, after) = first, second
    languages = (one, other, "en")
    together = [(fact.kind, fact.value) for fact in find(f"{before} {after}", languages)]
    each = [(fact.kind, fact.value) for text in (before, after) for fact in find(text, languages)]
    assert together == each


# Numbers, written and read again

STYLES = {
    "en": (",", "."),
    "de": (".", ","),
    "fr": ("\u202f", ","),
    "pl": ("\u00a0", ","),
    "plain": (" ", ","),
    "ch": ("'", "."),
    "ch curly": ("’", "."),
    "thin": ("\u2009", "."),
    "none": ("", "."),
}


@pytest.mark.parametrize("style", STYLES)
@given(whole=st.integers(0, 10**12), cents=st.sampled_from(["", "5", "25", "07"]))
def test_a_formatted_number_is_read_back_as_itself(style: str, whole: int, cents: str) -> None:
    thousands, point = STYLES[style]
    written = f"{whole:,}".replace(",", thousands) + (point + cents if cents else "")
    value = f"{whole}.{cents}".rstrip("0").rstrip(".") if cents else str(whole)
    read = number(written)
    assert read is not None
    assert read == number(value)
    (fact,) = find(f"They counted {written} of them.")
    assert (fact.kind, fact.value, fact.text) == ("number", value, written)


@given(st.integers(0, 10**9))
def test_arabic_digits_are_digits(whole: int) -> None:
    eastern = str(whole).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    assert [fact.value for fact in find(f"عدد {eastern} شخص", ("ar",))] == [str(whole)]


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1,2,3", ".", "--"])
def test_what_is_no_number_has_no_value(text: str) -> None:
    assert number(text) is None


@given(st.text())
def test_any_text_may_be_asked_for_its_value(text: str) -> None:
    number(text)


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2099, 12, 31)))
def test_a_date_is_read_back_in_every_language(day: date) -> None:
    from babel.dates import format_date

    for language in LANGUAGES:
        written = format_date(day, "d MMMM y", locale=language)
        (fact,) = find(f"x {written} x", (language,))
        assert (fact.kind, fact.value) == ("date", day.isoformat()), (language, written)


# What supports what


def facts(text: str) -> list[Fact]:
    return find(text, ("en",))


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("966,000", "966.000 people"),
        ("six weeks", "42 days"),
        ("24 months", "two years"),
        ("4 March 2022", "2022-03-04"),
        ("March 2022", "4 March 2022"),
        ("4 March", "4 March 2022"),
        ("2022", "4 March 2022"),
        ("2022", "March 2022"),
        ("2013", "Directive 2013/32/EU"),
        ("Article 10", "Article 10(3)"),
        ("Article 10", "Articles 8 to 12"),
        ("39", "39 %"),
        ("39", "39 months"),
        ("UN Refugee Agency", "UNHCR"),
        ("3 or 4 or thirteen", "3 weeks, 4 years, thirteen people"),
    ],
)
def test_what_stands_among_other_facts_is_supported(said: str, known: str) -> None:
    assert facts(said)
    assert all(supported(fact, facts(known)) for fact in facts(said))


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("966,000", "966,001"),
        ("966,000", ""),
        ("six months", "six weeks"),  # another unit
        ("six months", "6"),
        ("39 %", "39"),  # another kind
        ("39 %", "39 months"),
        ("39 months", "39 %"),
        ("Article 39", "39"),
        ("39", "Article 39"),
        ("Article 10(3)", "Article 10"),
        ("Article 10(3)", "Article 10(4)"),
        ("Article 10", "Article 100(1)"),
        ("4 March 2022", "March 2022"),
        ("4 March 2022", "4 March 2023"),
        ("4 March 2022", "2022"),
        ("4 March", "14 March 2022"),
        ("4 March", "4 May 2022"),
        ("May 2022", "4 March 2022"),
        ("Directive 2013/32/EU", "Directive 2013/33/EU"),
        ("32", "Directive 2013/32/EU"),
        ("Frontex", "EUAA"),
    ],
)
def test_what_does_not_stand_among_other_facts_is_not_supported(said: str, known: str) -> None:
    assert facts(said)
    assert not any(supported(fact, facts(known)) for fact in facts(said))


@given(western, st.sampled_from(LANGUAGES))
def test_a_fact_supports_itself_and_nothing_supports_none(text: str, language: str) -> None:
    known = find(text, (language,))
    assert all(supported(fact, known) for fact in known)
    assert not any(supported(fact, []) for fact in known)


# Long texts


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("The rate was 40 % in 2022. ", 1700),
        ("1 ", 10_000),
        ("\n", 15_000),
        ("Article 1, ", 5000),
        ("European ", 5000),
        ("9", 20_000),
        ("(", 20_000),
    ],
)
def test_a_long_text_is_read_in_seconds(text: str, times: int) -> None:
    began = time.process_time()
    find(text * times)
    assert time.process_time() - began < 1.5
