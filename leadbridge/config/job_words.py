"""Words of job titles in English and Spanish, by level and department, for `words:`.

A title may have words of several lists ("Assistant to the CEO", "Product Owner"): rules of one `exclusive:` group, or
`not: {job_title: {words: [job_level_assistant, product owner]}}` beside the test, say which counts.
"""

import unicodedata

_LISTS = {
    "job_level_c_suite": """
        ceo, cfo, cmo, cto, cio, coo, cro, cpo, cdo, chro, ciso, chief, c-level, president and, managing director,
        general manager, director general, directora general, gerente general, consejero delegado,
        consejera delegada, presidente, presidenta, director ejecutivo, directora ejecutiva, director financiero,
        directora financiera, director gerente, directora gerente, country manager""",
    "job_level_owner": """
        owner, co-owner, founder, co-founder, cofounder, managing partner, founding partner, senior partner, proprietor,
        dueño, dueña, propietario, propietaria, fundador, fundadora, cofundador, cofundadora, socio, socia, autónomo,
        autónoma, administrador único, administradora única, empresario, empresaria""",
    "job_level_vp": """
        vp, svp, evp, avp, v.p., vice president, vice-president, vicepresident, vicepresidente, vicepresidenta,
        subdirector general, subdirectora general""",
    "job_level_director": """
        director, directora, head, head of, subdirector, subdirectora, dir., director de, directora de,
        responsable de área, jefe de área, jefa de área""",
    "job_level_manager": """
        manager, mgr, team lead, team leader, supervisor, lead, gerente, jefe, jefa, jefe de, jefa de, responsable,
        encargado, encargada, coordinador, coordinadora, coordinator, supervisora""",
    "job_level_senior": """
        senior, sr, sr., principal, staff, expert, specialist, consultant, experto, experta, especialista, consultor,
        consultora""",
    "job_level_junior": """
        junior, jr, jr., entry level, entry-level, associate, auxiliar, ayudante""",
    "job_level_assistant": """
        assistant, assistant to, secretary, receptionist, asistente, secretario, secretaria, recepcionista,
        administrativo, administrativa""",
    "job_level_student": """
        student, intern, internship, trainee, apprentice, undergraduate, graduate student, phd student, pupil,
        estudiante, alumno, alumna, becario, becaria, practicante, en prácticas, prácticas, aprendiz, pasante""",
    "department_marketing": """
        marketing, growth, brand, branding, content, demand generation, demand gen, communications, communication, pr,
        public relations, cmo, seo, sem, social media, community manager, advertising, crm, mercadotecnia, mercadeo,
        comunicación, comunicaciones, publicidad, contenidos, marca, relaciones públicas, captación""",
    "department_sales": """
        sales, account executive, account manager, business development, bdr, sdr, cro, revenue, commercial,
        partnerships, ventas, comercial, desarrollo de negocio, ejecutivo de cuentas, ejecutiva de cuentas, vendedor,
        vendedora""",
    "department_it": """
        it, i.t., information technology, information systems, cio, ciso, system administrator, sysadmin,
        infrastructure, information security, informática, sistemas, tecnología, tecnologías de la información, ti,
        ciberseguridad, infraestructura""",
    "department_engineering": """
        engineering, engineer, developer, software, cto, devops, architect, programmer, data scientist, product,
        product manager, cpo, r&d, ingeniería, ingeniero, ingeniera, desarrollador, desarrolladora, desarrollo,
        programador, programadora, arquitecto, arquitecta, producto, i+d""",
    "department_finance": """
        finance, financial, cfo, accounting, accountant, controller, treasurer, treasury, audit, auditor, finanzas,
        financiero, financiera, contabilidad, contable, contador, contadora, tesorería, tesorero, tesorera,
        auditoría""",
    "department_hr": """
        hr, human resources, people, people operations, talent, talent acquisition, recruiter, recruiting, recruitment,
        chro, rrhh, rr.hh., recursos humanos, personas, talento, selección, reclutamiento, reclutador, reclutadora""",
    "department_operations": """
        operations, operation, coo, logistics, supply chain, production, manufacturing, plant manager, operaciones,
        logística, cadena de suministro, producción, fabricación""",
    "department_purchasing": """
        purchasing, procurement, buyer, sourcing, purchaser, compras, comprador, compradora, aprovisionamiento,
        adquisiciones""",
    "department_legal": """
        legal, lawyer, counsel, general counsel, attorney, compliance, paralegal, jurídico, jurídica, abogado, abogada,
        asesoría jurídica, cumplimiento""",
    "department_customer_service": """
        customer service, customer success, customer support, customer care, support, client services,
        atención al cliente, servicio al cliente, soporte, éxito del cliente, postventa""",
    "department_education": """
        teacher, professor, lecturer, educator, dean, school, education, academic, profesor, profesora, docente,
        maestro, maestra, rector, rectora, decano, decana, educación, académico, académica""",
}


def _words(text: str) -> frozenset[str]:
    """Each word or phrase, with and without its accents (ñ stays ñ beside n: "dueno" is how some forms write it)."""
    given = {unicodedata.normalize("NFKC", " ".join(word.casefold().split())) for word in text.split(",")}
    bare = {
        "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))
        for word in given
    }
    return frozenset(given | bare)


WORD_LISTS: dict[str, frozenset[str]] = {name: _words(text) for name, text in _LISTS.items()}
WORD_LISTS["decision_makers"] = frozenset[str]().union(
    *(WORD_LISTS[f"job_level_{level}"] for level in ("c_suite", "owner", "vp", "director"))
)
"""Every name that may stand among the words of `words:`. Decision makers: C-suite, owners, vice presidents, directors.

No bare "president", which every vice president has, and no bare "partner", which HR business partners have.
"""
