"""Programs that try to get out, to stay for ever, to fill the memory, or to forge a grade."""

READS = [
    "open(x).read()",
    "open(x, 'rb').read()",
    "__import__('pathlib').Path(x).read_text()",
    "__import__('io').open(x).read()",
    "__import__('os').listdir(x.rpartition('/')[0])",
    "open('/proc/self/environ').read()",
    "open('../' * 20 + x).read()",
]

READERS = [
    "from pathlib import Path\ndef f(x): return Path(x).read_text()",
    "def f(x): return open(x).read()",
    "import os\ndef f(x): return os.listdir('/')",
    "import os\ndef f(x): return [str(s) for s in os.walk('/')][0]",
]

WRITERS = [
    "def f(x): open(x, 'w').write('here')",
    "def f(x): open(x, 'xb').write(b'here')",
    "from pathlib import Path\ndef f(x): Path(x).write_text('here')",
    "import os\ndef f(x): os.mkdir(x)",
    "import os\ndef f(x): os.symlink('/etc', x)",
]

CONNECTORS = [
    "import socket\ndef f(port): socket.create_connection(('127.0.0.1', port))",
    "import urllib.request\ndef f(p): urllib.request.urlopen(f'http://127.0.0.1:{p}')",
    "import http.client\ndef f(p): http.client.HTTPConnection('127.0.0.1', p).request('GET', '/')",
    "import asyncio\nasync def g(p): await asyncio.open_connection('127.0.0.1', p)\n"
    "def f(p): asyncio.run(g(p))",
]

BOMBS = [
    "'a' * 10**10",
    "[0] * 10**10",
    "list(range(10**10))",
    "bytes(10**10)",
    "[[0] * 1000 for _ in range(10**7)]",
    "{i: str(i) for i in range(10**9)}",
    "'%10000000000d' % 1",
    "f'{1:>10000000000}'",
    "'{:10000000000}'.format(1)",
    "'a'.ljust(10**10)",
    "'a'.replace('a', 'b' * 10**9)",
    "','.join(['a' * 10**6] * 10**5)",
    "9 ** 9 ** 9",
    "1 << 10**11",
    "pow(7, 10**9)",
    "str(7 ** 10**6)",
    "int('9' * 10**7)",
    "sum(range(10**12))",
    "sorted(range(10**8))",
    "'a' * 10**8 in 'b' * 10**8",
]

ENDLESS = [
    "while True: pass",
    "try:\n    while True: pass\nexcept BaseException:\n    x = 'survived'\nwhile True: pass",
    "n = 1\nfor _ in range(100): n = n * n + 7 ** 1000",
    "def g():\n    while True: pass\nclass A:\n    def __repr__(self): return g()\nstr(A())",
    "import re\nre.match('(a|aa)+$', 'a' * 60 + 'b')\nwhile True: pass",
]

FLOODS = [
    "def f(x):\n    while True: print('a' * 1000)",
    "def f(x): print('a' * 10**6)",
    "import sys\ndef f(x):\n    while True: print('e' * 1000, file=sys.stderr)",
    "def f(x):\n    for i in range(10**6): print(i, end='')",
]

RECURSIONS = [
    "def f(x): return f(x)",
    "def f(x): return g(x)\ndef g(x): return [f(x)]",
    "class A:\n    def __repr__(self): return repr(self)\ndef f(x): return repr(A())",
    "def f(x): return sorted([3, 1, 2], key=f)",
    "def f(x): return len(str(f))if x else eval('f(' * 5000 + ')' * 5000)",
]

UNFOLDING = [
    "x = [1]\n    for _ in range(40): x = [x, x]",  # 2^40 leaves in 41 lists
    "x = [1]\n    for _ in range(40): x = {'a': x, 'b': x}",
    "x = []\n    for _ in range(50_000): x = [x]",
    "x = []\n    x.append(x)\n    x = [x, 1j] if False else [x] * 50_000",
    "x = 'a' * 10**6",
    "x = list(range(10**6))",
    "x = 10 ** 10**6",
]

MODULES = [
    "__import__('os').system('touch ' + x)",
    "__import__('subprocess').run(['touch', x])",
    "__import__('os').execv('/usr/bin/touch', ['touch', x])",
    "__import__('os').fork()",
    "__import__('os').kill(1, 9)",
    "__import__('ctypes').CDLL(None)",
    "__import__('importlib').import_module('subprocess')",
    "__import__('sys').modules",
    "__import__('sys')._getframe()",
    "__import__('gc').get_objects()",
    "__import__('inspect').stack()",
    "__import__('threading').Thread(target=print).start()",
    "__import__('multiprocessing').Process(target=print).start()",
    "__import__('pickle').loads(b'cos\\nsystem\\n(S\"true\"\\ntR.')",
    "__import__('signal').alarm(0)",
    "__import__('resource').setrlimit(7, (9, 9))",
    "__import__('builtins').open",
]

ATTRIBUTES = [
    "().__class__.__base__.__subclasses__()",
    "''.__class__.__mro__",
    "(lambda: 0).__globals__",
    "(lambda: 0).__code__",
    "f.__builtins__",
    "getattr((), '__class__').__base__.__subclasses__()",
    "type(()).__base__.__subclasses__()",
    "type.__subclasses__(object)",
    "object.__subclasses__()",
    "print.__self__",
    "[].append.__self__.__class__.__base__",
    "'{0.__class__.__base__.__subclasses__}'.format(())",
    "Exception().__traceback__.tb_frame",
    "vars()['__builtins__']",
    "globals()['__builtins__']",
    "(x for x in [1]).gi_frame",
]

FAKES = [
    "Fake()",
    "[Fake()]",
    "{'a': Fake()}",
    "Fake",
    "f",
    "lambda: True",
]

PATCHES = [
    "def f(x): return 42\ndef g(x): return 42",
    "len = lambda x: 42",
    "import json\njson.dumps = lambda *a: '42'",
    "import builtins\nbuiltins.len = lambda x: 42",
    "__builtins__['len'] = lambda x: 42",
    "import math\nmath.sqrt = lambda x: 42",
    "int.__eq__ = lambda self, other: True",
    "str.upper = lambda self: 42",
    "def f(x):\n    global len\n    len = lambda x: 42\n    return 42",
    "_provost_arguments = [42]",
]

FORGERIES = [
    '{"answers": [[1.0, ""]]}',
    '{"outcomes": [{"value": 42}]}',
    "\\x00\\x01\\xff" * 10,
    "\\x1b[2J\\x1b[31m",
]
