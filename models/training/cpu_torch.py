"""Make the registry's CUDA build of torch importable on a machine without a GPU.

The wheel links against some 2 GB of GPU libraries that a CPU run never calls. Run after
`pip install --no-deps torch nvidia-cuda-runtime nvidia-cuda-cupti` (0.55 GB), this puts small
stand-ins beside torch's own libraries: one per missing library, with the symbols and symbol versions
that torch's libraries ask of it, and nothing behind them. `torch.cuda.is_available()` stays False.

    python cpu_torch.py            needs cc, nm and objdump (gcc, binutils)
"""

import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile

REAL = ("libcudart.so", "libcupti.so")  # loaded for real: they register things when torch is imported
GPU = re.compile(r"(cusparseLt|cudnn|nccl|cuFile|nvrtc|cublas|cusolver|cufft|cusparse|nvshmem)[A-Z_]")  # unversioned ones


def run(*cmd: str) -> str:
    """Output of a command; its error is the caller's error."""
    return subprocess.run(cmd, check=True, capture_output=True, text=True).stdout


def wanted(lib: pathlib.Path) -> dict[str, dict[str, set[str]]]:
    """{needed library: {symbol version: symbols}} of one shared object; version "" = unversioned."""
    header = run("objdump", "-p", str(lib))
    needed = re.findall(r"NEEDED\s+(\S+)", header)
    owner = {}  # version name -> library it is required from
    current = ""
    for line in header.partition("Version References:")[2].splitlines():
        if match := re.match(r"\s+required from (\S+):", line):
            current = match[1]
        elif match := re.match(r"\s+0x\S+ 0x\S+ \d+ (\S+)", line):
            owner[match[1]] = current
    out = {name: {} for name in needed}
    for line in run("nm", "-D", "--undefined-only", str(lib)).splitlines():
        name, _, version = line.split()[-1].partition("@")
        if version in owner:
            out.setdefault(owner[version], {}).setdefault(version, set()).add(name)
        elif not version and GPU.match(name):
            out.setdefault("libcusparseLt.so.0", {}).setdefault("", set()).add(name)
    return out


def build(soname: str, versions: dict[str, set[str]], folder: pathlib.Path) -> None:
    """Compile the stand-in `soname` with its symbols in their versions."""
    with tempfile.TemporaryDirectory() as tmp:
        source, script = pathlib.Path(tmp, "stub.c"), pathlib.Path(tmp, "stub.map")
        names = sorted(set().union(*versions.values())) if versions else []
        source.write_text("".join(f"char {n}[64];\n" for n in names) or "int outrider_stub;\n")
        nodes = "".join(
            f"{v} {{ global: {' '.join(n + ';' for n in sorted(s))} }};\n" for v, s in sorted(versions.items()) if v
        )
        script.write_text(nodes or "{ global: *; };\n")
        run("cc", "-shared", str(source), f"-Wl,-soname,{soname}", f"-Wl,--version-script={script}", "-o", str(folder / soname))


def main() -> None:
    """Stub what is missing, then prove that torch works."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        sys.exit("torch is not installed")
    folder = pathlib.Path(spec.origin).parent / "lib"
    site = folder.parent.parent
    present = {p.name for p in [*folder.glob("*.so*"), *site.glob("nvidia/**/*.so*")]}
    todo: dict[str, dict[str, set[str]]] = {}
    for lib in folder.glob("*.so*"):
        for soname, versions in wanted(lib).items():
            for version, names in versions.items():
                todo.setdefault(soname, {}).setdefault(version, set()).update(names)
            todo.setdefault(soname, {})
    system = re.compile(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s|quadmath|util|z)\.so|ld-linux")
    for soname, versions in sorted(todo.items()):
        if soname in present or system.match(soname) or soname.startswith(REAL):
            continue
        build(soname, versions, folder)
        print(f"stand-in {soname}: {sum(map(len, versions.values()))} symbols")
    print(
        run(
            sys.executable,
            "-c",
            "import torch; print('torch', torch.__version__, torch.ones(8, 8) @ torch.ones(8)) ",
        )
    )


if __name__ == "__main__":
    main()
