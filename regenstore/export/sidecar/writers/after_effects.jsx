// Imports one medium with what regenstore knows of it: File > Scripts > Run Script File.
(function () {
    var D = null;

    function beside(name) {
        return new File(new File($.fileName).parent.absoluteURI + "/" + name);
    }

    function importFrom(file) {
        return app.project.importFile(new ImportOptions(file));
    }

    function frames(count) {
        return count * D.rate[1] / D.rate[0];
    }

    function mark(layer, marker) {
        var value = new MarkerValue(marker.text);
        value.duration = frames(marker.frames);
        layer.property("ADBE Marker").setValueAtTime(frames(marker.first), value);
    }

    function importBeside(name) {
        var file = name === null ? null : beside(name);
        return file !== null && file.exists ? importFrom(file) : null;
    }

    function compose(footage, streams) {
        var comp = app.project.items.addComp(D.name, D.size[0], D.size[1], D.aspect, frames(D.frames), D.rate[0] / D.rate[1]);
        var layer = comp.layers.add(footage);
        var i;
        if (D.startFrame !== null) {
            comp.displayStartTime = frames(D.startFrame);
        }
        for (i = 0; i < D.markers.length; i += 1) {
            mark(layer, D.markers[i]);
        }
        if (streams !== null) {
            comp.layers.add(streams).moveToEnd();
        }
    }

    function run() {
        var media = beside(D.beside);
        var footage, streams;
        if (!media.exists) {
            media = new File(D.path);
        }
        if (!media.exists) {
            throw new Error("regenstore: " + D.media + " is neither beside this script nor where it was exported from");
        }
        footage = importFrom(media);
        footage.comment = D.comment;
        if (D.rate !== null && !D.variable && !footage.mainSource.isStill) {
            footage.mainSource.conformFrameRate = D.rate[0] / D.rate[1];
        }
        streams = importBeside(D.streams);
        importBeside(D.table);
        if (D.compose) {
            compose(footage, streams);
        }
    }

    app.beginUndoGroup("regenstore");
    try {
        run();
    } finally {
        app.endUndoGroup();
    }
}());
