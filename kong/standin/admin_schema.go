package standin

import (
	"encoding/json"
	"net/http"

	"kong-traffic-split/kong/declarative"
)

// checker is the present loader.
func (g *Gateway) checker() *declarative.Loader {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	return g.loader
}

func (g *Gateway) adminSchema(w http.ResponseWriter, r *http.Request) {
	entity := r.PathValue("entity")
	schema := g.checker().Schema(entity)
	if schema == nil {
		adminMessage(w, http.StatusNotFound, "No entity named '"+entity+"'")
		return
	}
	adminAnswer(w, http.StatusOK, schema)
}

func (g *Gateway) adminPluginSchema(w http.ResponseWriter, r *http.Request) {
	plugin := r.PathValue("plugin")
	schema := g.checker().PluginSchema(plugin)
	if schema == nil {
		adminMessage(w, http.StatusNotFound, "No plugin named '"+plugin+"'")
		return
	}
	adminAnswer(w, http.StatusOK, schema)
}

// adminValidate checks a row of an entity, which need not be there.
func (g *Gateway) adminValidate(w http.ResponseWriter, r *http.Request) {
	var row map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxConfig)).Decode(&row); err != nil || row == nil {
		adminMessage(w, http.StatusBadRequest, "Cannot parse JSON body")
		return
	}
	entity := r.PathValue("entity")
	errs, ok := g.checker().Check(entity, row)
	switch {
	case !ok:
		adminMessage(w, http.StatusNotFound, "No entity named '"+entity+"'")
	case errs != nil:
		adminAnswer(w, http.StatusBadRequest, declarative.SchemaViolation(errs))
	default:
		adminMessage(w, http.StatusOK, "schema validation successful")
	}
}
