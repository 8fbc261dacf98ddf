"""Reader of HTML pages that fails where tags do not nest."""

import html.parser


class Parser(html.parser.HTMLParser):
    """Collects tags, checks that they nest, and what they refer to."""

    VOID = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.references, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.references += [
            value for name, value in attrs if name in ("src", "href", "poster")
        ]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
