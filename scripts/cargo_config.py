"""Writes into a project's .cargo/config.toml where libtorch is. Called by `scripts/libtorch --for DIR`.

    cargo_config.py find DIR            prints the LIBTORCH that the configuration of DIR names already
    cargo_config.py write DIR LIBTORCH  writes LIBTORCH, and the linker's arguments that let programs find it

A line that this program wrote ends in MARK. Each run takes those lines out and puts today's in, so that it can be run
again; all other lines stay as they are. What was written is read again before the file is replaced: where it would mean
anything else than what was there and those lines, nothing is changed.

How cargo joins its configuration, as far as it matters here: files of parent folders and of cargo's home count too;
tables and arrays of several files are joined, a string replaces a string, and a string beside a table or an array is an
error. Of `[target.…] rustflags` and `[build] rustflags` only the first counts, if any table of it fits the target.
"""

import json
import os
import pathlib
import re
import sys
import tempfile

try:
    import tomllib
except ModuleNotFoundError:  # Python before 3.11 has it in its pip.
    from pip._vendor import tomli as tomllib

MARK = "  # by scripts/libtorch"
UNIX = ("target", "cfg(unix)")


def say(text):
    print(f"libtorch: {text}", file=sys.stderr)


def fail(text):
    say(text)
    sys.exit(1)


def file_in(folder):
    """Returns the file of `folder` that cargo reads: the one without an ending if both are there."""
    old = folder / "config"
    return old if old.is_file() else folder / "config.toml"


def parse(text, file):
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fail(f"{file} is not valid TOML ({error}): mend it first")


def others(project):
    """Returns path and content of the other files that cargo reads in `project`, the nearest first."""
    home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    folders = [parent / ".cargo" for parent in project.parents] + [home.resolve()]
    files = dict.fromkeys(file_in(folder) for folder in folders)
    return [(file, parse(read(file), file)) for file in files if file.is_file()]


def read(file):
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        fail(f"{file} is not UTF-8: mend it first")


def at(table, path):
    """Returns the value at a path of keys, or None."""
    for key in path:
        if not isinstance(table, dict) or key not in table:
            return None
        table = table[key]
    return table


def unmarked(text):
    return "".join(line for line in text.splitlines(True) if not line.rstrip("\r\n").endswith(MARK))


def theirs(project, own_file, own):
    """Returns the LIBTORCH that a person has set for `project`, and the file: (None, None) if nobody has."""
    for file, config in [(own_file, own), *others(project)]:
        value = at(config, ("env", "LIBTORCH"))
        if isinstance(value, dict):
            base = file.parent.parent if value.get("relative") else pathlib.Path()
            value = str(base / value["value"]) if "value" in value else None
        if value is not None:
            return value, file
    return None, None


def header(line):
    """Returns the path of keys of a line that opens a table, or None."""
    if not line.lstrip().startswith("[") or line.lstrip().startswith("[["):
        return None
    try:
        table = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    path = []
    while table:
        (key, table), = table.items()
        path.append(key)
    return tuple(path)


def key(name):
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name) if "'" in name else f"'{name}'"


def put(text, path, name, line, element=None):
    """Returns `text` with `line` in the table at `path`, or with `element` in the array `name` of that table."""
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(True)
    opened = next((number for number, found in enumerate(lines) if header(found) == path), None)
    if opened is None:
        text += end if text and not text.endswith("\n") else ""
        text += end if text else ""
        return f"{text}[{'.'.join(map(key, path))}]{end}{line}{MARK}{end}"
    if not lines[opened].endswith("\n"):
        lines[opened] += end
    at_line, place = opened + 1, 0
    for number in range(opened + 1, len(lines)) if element else ():
        if header(lines[number]) is not None:
            break
        if array := re.match(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=\s*\[", lines[number]):
            line, at_line, place = f"    {element},", number, array.end()
            break
    if place:
        # The elements go on in a line of their own, unless they did already.
        rest = lines[at_line][place:]
        if rest.strip() and not rest.lstrip().startswith("#"):
            lines[at_line:at_line + 1] = [lines[at_line][:place] + end, rest]
        at_line += 1
    lines.insert(at_line, f"{line}{MARK}{end}")
    return "".join(lines)


def places(project, own):
    """Returns the tables whose rustflags must have ours, so that those of a person stay in force."""
    configs = [("", own), *others(project)]
    if not any(at(config, ("build", "rustflags")) is not None for _, config in configs) \
            and "CARGO_BUILD_RUSTFLAGS" not in os.environ:
        return [UNIX]
    tables = {name: None for _, config in configs for name, table in config.get("target", {}).items()
              if isinstance(table, dict) and "rustflags" in table}
    return [("build",), *(("target", name) for name in tables)]


def with_ours(config, path, name, value):
    """Puts into a parsed configuration what `put` puts into its text."""
    for part in path:
        config = config.setdefault(part, {})
    if isinstance(config.get(name), list):
        config[name] = [*value, *config[name]]
    else:
        config[name] = value


def write(project, libtorch):
    file = file_in(project / ".cargo")
    before = read(file) if file.is_file() else ""
    text = unmarked(before)
    own = parse(text, file)
    value, named_in = theirs(project, file, own)
    expected, by_hand = parse(text, file), []
    if value is None:
        line = f"LIBTORCH = {{ value = {json.dumps(libtorch, ensure_ascii=False)}, force = false }}"
        text = put(text, ("env",), "LIBTORCH", line)
        with_ours(expected, ("env",), "LIBTORCH", {"value": libtorch, "force": False})
        by_hand += ["[env]", line]
    else:
        say(f"kept LIBTORCH of {named_in}: {value}")
        if os.environ.get("LIBTORCH", value) != value:
            say("note: the LIBTORCH of your environment goes before it while it is set")
    flag = f"-Clink-arg=-Wl,-rpath,{libtorch}/lib"
    quoted = json.dumps(flag, ensure_ascii=False)
    for path in places(project, own):
        for where, config in [(file, own), *others(project)]:
            flags = at(config, (*path, "rustflags"))
            if isinstance(flags, str):
                fail(f"{where}: cargo cannot join the string rustflags of [{'.'.join(map(key, path))}] with another "
                     f"file's, and one in the same file would be replaced. Write it as an array, then run this again:\n"
                     f"  rustflags = {json.dumps(flags.split(), ensure_ascii=False)}")
        text = put(text, path, "rustflags", f"rustflags = [{quoted}]", quoted)
        with_ours(expected, path, "rustflags", [flag])
        by_hand += [f"[{'.'.join(map(key, path))}]", f"rustflags = [{quoted}]"]
        if path != UNIX or at(own, (*path, "rustflags")) is not None:
            say(f"added to the rustflags of [{'.'.join(map(key, path))}], which are in force")
    try:
        same = tomllib.loads(text) == expected
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        fail(f"{file} is written in a way that this program does not edit, and was left as it is. Add to it:\n  "
             + "\n  ".join(by_hand))
    if text == before:
        say(f"{file} is as it should be")
    else:
        replace(file, text)
        say(f"wrote {file}")
    for name in ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"):
        if os.environ.get(name):
            say(f"warning: {name} is set here and replaces all rustflags of configurations: while it is, programs do "
                f"not find libtorch; add {flag} to it")
    advise(project)


def replace(file, text):
    file = file.resolve()
    file.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as partial:
        partial.write(text.encode())
    os.chmod(partial.name, file.stat().st_mode & 0o7777 if file.exists() else 0o644)
    os.replace(partial.name, file)


def advise(project):
    """Says where cargo is to be started if `project` is a member of a workspace."""
    for parent in project.parents:
        manifest = parent / "Cargo.toml"
        if manifest.is_file() and "workspace" in parse(read(manifest), manifest):
            own = project / "Cargo.toml"
            if own.is_file() and "workspace" not in parse(read(own), own):
                say(f"note: cargo reads this file where it is started in {project}; for the whole workspace, give "
                    f"--for {parent}")
            return


def main():
    task, project, *rest = sys.argv[1:]
    project = pathlib.Path(project).resolve()
    if not project.is_dir():
        fail(f"there is no folder {project}")
    if task == "find":
        file = file_in(project / ".cargo")
        own = parse(unmarked(read(file)), file) if file.is_file() else {}
        value, _ = theirs(project, file, own)
        print(value or "", end="")
    else:
        write(project, *rest)


main()
