"""Audit a hashed lock with pip-audit, and tell "nothing known" apart from "nobody was asked".

pip-audit exits 0 when its service does not know a single package (a mirror without advisories), and with a traceback
when there is no way to it. Neither is a finding, and neither may read like a clean bill.
"""

import json
import subprocess
import sys


def main(lock: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(run.stdout)["dependencies"]
    except ValueError:
        reason = run.stderr.strip().splitlines() or ["no output"]
        print(f"audit: NOT DONE, pip-audit gave no result: {reason[-1]}")
        return 0
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        print(f"audit: NOT DONE, no advisory service within reach knows any of {len(packages)} packages")
        return 0
    found = [(package, flaw) for package in asked for flaw in package["vulns"]]
    for package, flaw in found:
        print(f"audit: {package['name']} {package['version']}: {flaw['id']}, fixed in {flaw['fix_versions'] or '?'}")
    print(f"audit: {len(found)} known vulnerabilities in {len(asked)} of {len(packages)} packages")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
