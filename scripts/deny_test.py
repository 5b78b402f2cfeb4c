"""The rules of deny.py on made-up crates: what must be refused is. Run by scripts/lint.sh."""

import unittest

import deny


class Refusals(unittest.TestCase):
    def test_licences_are_chosen_by_or_and_added_by_and(self):
        allowed = {"MIT", "ISC", "Apache-2.0 WITH LLVM-exception"}
        for said in ("MIT", "GPL-3.0 OR MIT", "MIT/GPL-3.0", "(GPL-3.0 OR ISC) AND MIT", "Apache-2.0 WITH LLVM-exception"):
            self.assertTrue(deny.licence_holds(said, allowed), said)
        for said in ("GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 AND (MIT OR ISC)", "Apache-2.0"):
            self.assertFalse(deny.licence_holds(said, allowed), said)

    def test_versions_fit_as_cargo_has_it(self):
        for have, comparator in (("1.2.3", "^1.2"), ("1.2.3", "1.2.3"), ("0.3.5", "^0.3.1"), ("2.0.0", ">= 1.9"),
                                 ("0.103.12", ">= 0.103.12"), ("1.0.0-rc.2", "< 1.0.0")):
            self.assertTrue(deny.fits(have, comparator), (have, comparator))
        for have, comparator in (("2.0.0", "^1.2"), ("0.4.0", "^0.3.1"), ("1.9.9", ">= 1.10.0"), ("0.103.2", ">= 0.103.12")):
            self.assertFalse(deny.fits(have, comparator), (have, comparator))

    def test_a_known_fault_and_a_crate_that_nobody_looked_up_are_refused(self):
        known = {"looked-up": ["a"], "advisories": [{"id": "X-1", "crate": "a", "clear": ["< 1.0, >= 0.9.3", ">= 1.1"]}]}
        for version, clear in (("0.9.3", True), ("0.9.2", False), ("1.0.5", False), ("1.1.0", True)):
            faults = []
            deny.advisories([{"name": "a", "version": version}], known, faults)
            self.assertEqual(not faults, clear, version)
        faults = []
        deny.advisories([{"name": "b", "version": "1.0.0"}], known, faults)
        self.assertIn("never looked up", faults[0])

    def test_what_is_banned_may_be_used_by_its_wrapper_alone(self):
        packages = [{"id": n, "name": n, "version": "1.0.0"} for n in ("ssl", "good", "bad")]
        uses = lambda who: {"id": who, "deps": [{"pkg": "ssl", "dep_kinds": [{"kind": None}]}]}
        rules = {"deny": [{"crate": "ssl", "wrappers": ["good"], "reason": "one is enough"}]}
        for users, held in ((["good"], True), (["good", "bad"], False)):
            faults = []
            deny.bans(packages, [uses(u) for u in users], rules, faults)
            self.assertEqual(not faults, held, users)


if __name__ == "__main__":
    unittest.main()
