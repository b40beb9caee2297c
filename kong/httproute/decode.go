package httproute

import (
	"cmp"
	"maps"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// fill puts a value that its schema allows into a variable of the Gateway API's types,
// whose fields are named by json tags. What has no place there is left out.
func fill(n *yaml.Node, to reflect.Value) {
	if n == nil || n.Tag == "!!null" {
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		fill(n, to.Elem())
	case reflect.Struct:
		fields := fieldsOf(to.Type())
		for i := 0; i+1 < len(n.Content); i += 2 {
			if index, ok := fields[n.Content[i].Value]; ok {
				fill(n.Content[i+1], to.FieldByIndex(index))
			}
		}
	case reflect.Slice:
		to.Set(reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content)))
		for i, item := range n.Content {
			fill(item, to.Index(i))
		}
	case reflect.Map:
		to.Set(reflect.MakeMap(to.Type()))
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := reflect.New(to.Type().Key()).Elem(), reflect.New(to.Type().Elem()).Elem()
			fill(n.Content[i], key)
			fill(n.Content[i+1], value)
			to.SetMapIndex(key, value)
		}
	case reflect.String:
		to.SetString(n.Value)
	case reflect.Bool:
		to.SetBool(strings.EqualFold(n.Value, "true"))
	default:
		if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil && to.CanInt() {
			to.SetInt(i)
		} else if err == nil && to.CanUint() {
			to.SetUint(uint64(i))
		}
	}
}

var fieldsOfTypes sync.Map // of reflect.Type to map[string][]int

// fieldsOf are the indexes of a type's fields by their names in JSON, those of embedded
// types among them.
func fieldsOf(t reflect.Type) map[string][]int {
	if known, ok := fieldsOfTypes.Load(t); ok {
		return known.(map[string][]int)
	}
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && f.IsExported() {
			fields[name] = f.Index
		}
	}
	fieldsOfTypes.Store(t, fields)
	return fields
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// each calls f for all items, several at a time. f changes nothing but its item.
func each[T any](all []T, f func(T)) {
	var workers sync.WaitGroup
	next := make(chan T)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for item := range next {
				f(item)
			}
		})
	}
	for _, item := range all {
		next <- item
	}
	close(next)
	workers.Wait()
}
