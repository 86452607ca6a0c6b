// Parses a script as ECMAScript 3 and runs it against objects that record what is asked of them.
// Input: JSON {script, folder, files} on stdin; output: JSON {edition3, error, calls, items}.
"use strict";
const vm = require("node:vm");

function acorn() {
    try {
        return require("acorn");
    } catch (error) {
        return require("internal/deps/acorn/acorn/dist/acorn"); // what node itself parses with
    }
}

const { script, folder, files } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const result = { edition3: null, error: null, calls: [], items: [] };
try {
    acorn().parse(script, { ecmaVersion: 3, sourceType: "script" });
} catch (error) {
    if (!(error instanceof SyntaxError)) {
        throw error;
    }
    result.edition3 = error.message;
}

function File(uri) {
    this.path = decodeURIComponent(uri);
    this.exists = files.includes(this.path);
    this.parent = { absoluteURI: uri.replace(/\/[^/]*$/, "") };
}
function ImportOptions(file) {
    this.file = file;
}
function MarkerValue(text) {
    this.comment = text;
    this.duration = 0;
}
function layer(source) {
    const markers = [];
    return {
        source: source.name,
        markers,
        moveToEnd() {
            this.atEnd = true;
        },
        property(name) {
            return { setValueAtTime: (time, value) => markers.push([name, time, value.comment, value.duration]) };
        },
    };
}
const app = {
    beginUndoGroup: (name) => result.calls.push(["begin", name]),
    endUndoGroup: () => result.calls.push(["end"]),
    project: {
        importFile(options) {
            if (!(options instanceof ImportOptions) || !options.file.exists) {
                throw new Error("nothing to import");
            }
            const item = { name: options.file.path, mainSource: { isStill: /\.png$/.test(options.file.path) } };
            result.items.push(item);
            return item;
        },
        items: {
            addComp(...given) {
                const comp = { comp: given, layers: [] };
                result.items.push(comp);
                comp.layers.add = (source) => {
                    const made = layer(source);
                    comp.layers.push(made);
                    return made;
                };
                return comp;
            },
        },
    },
};
const context = vm.createContext({ app, File, ImportOptions, MarkerValue, $: { fileName: folder + "/a.ae.jsx" } });
const before = Object.keys(context).length;
try {
    vm.runInContext(script, context, { timeout: 5000 });
} catch (error) {
    result.error = String(error.message);
}
result.globals = Object.keys(context).length - before;
process.stdout.write(JSON.stringify(result));
