/** Deploys a project to an OpenWhisk API with the real deployer: node deploy.mjs FOLDER APIHOST KEY ENV_FILE. */

import nimbella from "@nimbella/nimbella-deployer";

const [folder, apihost, key, env] = process.argv.slice(2);
const owner = { apihost, api_key: key };
const credentials = { namespace: "fn-test", ow: owner, storageKey: undefined, redis: false };
const flags = { verboseBuild: false, verboseZip: false, production: false, incremental: false, yarn: false, env, json: true };
const runtimes = { python: [{ kind: "python:3.11", default: true }, { kind: "python:default" }] };
const said = (...words) => console.error(...words);
const feedback = { warn: said, progress: () => null };
const nothing = { loadCredentialStoreIfPresent: () => undefined, loadCredentialStore: async () => ({}), saveCredentialStore: () => null, saveLegacyInfo: () => null };

nimbella.initializeAPI("test");
const spec = await nimbella.readPrepareAndBuild(folder, owner, credentials, nothing, flags, runtimes, undefined, feedback);
if (spec.error) {
  console.error(String(spec.error.message ?? spec.error));
  process.exit(1);
}
const { successes, failures } = await nimbella.deploy(spec);
for (const failure of failures) console.error(String(failure.message ?? failure));
console.log(JSON.stringify(successes.map(({ kind, name }) => ({ kind, name }))));
process.exit(failures.length ? 1 : 0);
