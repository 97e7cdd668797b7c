"""Named lists a condition may use, all lower case, as tests compare so.

`{email_domain: {in: free_mail_domains}}`, `{country: {in: eu_countries}}`, `{job_title: {words: decision_makers}}`.
"""

from leadbridge.config.countries import COUNTRY_LISTS
from leadbridge.config.job_words import WORD_LISTS

free_mail_domains: frozenset[str] = frozenset(
    """
    126.com 139.com 150mail.com 163.com 21cn.com aim.com alice.it aliceadsl.fr aliyun.com aol.co.uk aol.com
    aol.de aol.fr arcor.de att.net bell.net bellsouth.net bigpond.com bigpond.net.au bk.ru bluewin.ch
    blueyonder.co.uk bol.com.br btinternet.com charter.net club-internet.fr comcast.net cox.net earthlink.net
    email.com email.cz eresmas.com fastmail.com fastmail.fm foxmail.com free.fr freemail.hu freenet.de
    frontier.com gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.fr gmx.net googlemail.com hanmail.net hey.com
    hotmail.co.uk hotmail.com hotmail.com.ar hotmail.com.br hotmail.de hotmail.es hotmail.fr hotmail.it
    hotmail.nl hush.com hushmail.com icloud.com ig.com.br inbox.com inbox.lv inbox.ru index.hu interia.pl
    juno.com kpnmail.nl laposte.net libero.it list.ru live.ca live.co.uk live.com live.com.ar live.com.mx
    live.de live.fr live.it live.nl mac.com mail.bg mail.com mail.ee mail.ru mailbox.org mailfence.com me.com
    msn.com mweb.co.za naver.com neuf.fr ntlworld.com o2.pl oi.com.br onet.eu onet.pl online.no optimum.net
    optonline.net optusnet.com.au orange.fr outlook.co.id outlook.com outlook.com.br outlook.de outlook.es
    outlook.fr outlook.it outlook.jp planet.nl pm.me posteo.de prodigy.net.mx proton.me protonmail.ch
    protonmail.com qq.com rambler.ru rediffmail.com rocketmail.com rogers.com runbox.com sapo.pt sbcglobal.net
    seznam.cz sfr.fr shaw.ca sina.cn sina.com sky.com skynet.be sohu.com sympatico.ca t-online.de talktalk.net
    telenet.be teletu.it telia.com telus.net terra.com.br tin.it tiscali.co.uk tiscali.it tuta.com tuta.io
    tutanota.com tutanota.de ukr.net uol.com.br verizon.net videotron.ca virgilio.it virgin.net virginmedia.com
    vodafone.it voila.fr vp.pl wanadoo.es wanadoo.fr web.de windowslive.com wp.pl xs4all.nl xtra.co.nz ya.ru
    yahoo.ca yahoo.co.id yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.ar yahoo.com.au yahoo.com.br
    yahoo.com.mx yahoo.de yahoo.es yahoo.fr yahoo.in yahoo.it yandex.com yandex.ru yeah.net ymail.com ziggo.nl
    zoho.com mail-free.example
    """.split()  # noqa: SIM905 - two hundred quoted words read worse
)
"""Mail providers open to everyone, so that an address says nothing about a company. `mail-free.example`: the demo's."""

NAMED_LISTS: dict[str, frozenset[str]] = {"free_mail_domains": free_mail_domains, **COUNTRY_LISTS}
"""Every name `in:` and `not_in:` may use."""

__all__ = ["NAMED_LISTS", "WORD_LISTS", "free_mail_domains"]
