// Holds a list of the Prometheus operator's objects, from stdin, against the schemas installed in the folder that is given.
import { text } from "node:stream/consumers";

const models = `${process.argv[2]}/node_modules/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1`;
const objects = JSON.parse(await text(process.stdin));
for (const object of objects) {
  const model = (await import(`${models}/${object.kind}.js`))[object.kind];
  new model(object).validate();
}
console.log(`${objects.length} valid`);
