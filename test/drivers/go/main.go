// GORM, pgx and lib/pq as docs/clients.md declares columns: main HOST PORT USER DATABASE sealed|plain
//
// With "plain" the same is done with columns of the base types.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
)

type Person struct {
	ID     int64
	Email  string    `gorm:"type:encrypted_text"`
	Salary *float64  `gorm:"type:encrypted_numeric"`
	Age    int32     `gorm:"type:encrypted_int4"`
	Born   time.Time `gorm:"type:encrypted_date"`
	Seen   time.Time `gorm:"type:encrypted_timestamptz"`
	Doc    string    `gorm:"type:encrypted_jsonb"`
	Photo  []byte    `gorm:"type:encrypted_bytea"`
	Active bool      `gorm:"type:encrypted_bool"`
}

func (Person) TableName() string { return "person_gorm" }

var ctx = context.Background()

// A declaration, as it is on this database
var declared = func(sql string) string { return sql }

func plain(sql string) string {
	return strings.NewReplacer("encrypted_", "", "blind_index(email)", "email").Replace(sql)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func show(name string, err error, values ...any) {
	var pgx_error *pgconn.PgError
	var pq_error *pq.Error
	switch {
	case errors.As(err, &pgx_error):
		fmt.Println(name, "error", pgx_error.Code, pgx_error.ConstraintName)
	case errors.As(err, &pq_error):
		fmt.Println(name, "error", pq_error.Code, pq_error.Constraint)
	case err != nil:
		fmt.Println(name, "error", err)
	default:
		fmt.Printf("%s %+v\n", name, values)
	}
}

func person(id int64, email string, salary float64, age int32) Person {
	day := time.Date(2000, 1, 30, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(id))
	p := Person{ID: id, Email: email, Age: age, Born: day, Seen: day.Add(90 * time.Minute), Doc: fmt.Sprintf(`{"n": %d}`, id), Photo: []byte{0, byte(id), '\\'}, Active: id%2 == 0}
	if salary > 0 {
		p.Salary = &salary
	}
	return p
}

func (p Person) String() string {
	salary := "none"
	if p.Salary != nil {
		salary = fmt.Sprint(*p.Salary)
	}
	return fmt.Sprint(p.ID, " ", p.Email, " ", salary, " ", p.Age, " ", p.Born.Format("2006-01-02"), " ", p.Seen.UTC().Format(time.RFC3339), " ", p.Doc, " ", p.Photo, " ", p.Active)
}

// The statements that AutoMigrate sends to make the table like the model
type ddl struct {
	logger.Interface
	statements []string
}

func (d *ddl) LogMode(logger.LogLevel) logger.Interface { return d }

func (d *ddl) Trace(_ context.Context, _ time.Time, statement func() (string, int64), _ error) {
	if text, _ := statement(); len(text) > 6 && (text[:5] == "ALTER" || text[:6] == "CREATE") {
		d.statements = append(d.statements, text)
	}
}

func with_gorm(uri string) {
	db, err := gorm.Open(postgres.Open(uri), &gorm.Config{Logger: logger.Default.LogMode(logger.Silent)})
	must(err)
	model := &gorm.Statement{DB: db}
	must(model.Parse(&Person{}))
	for _, field := range model.Schema.Fields {
		field.DataType = schema.DataType(declared(string(field.DataType)))
	}
	must(db.AutoMigrate(&Person{}))
	must(db.Exec(declared("CREATE UNIQUE INDEX person_gorm_email ON person_gorm (blind_index(email))")).Error)

	var one Person
	var some []Person
	var ids []int64
	var number float64
	var count int64
	a, b, c := person(1, "a@x", 1.5, 30), person(2, "b@x", 2.25, 40), person(3, "c@x", 0, 50)
	show("insert", db.Create(&a).Error)
	show("insert many", db.Create([]*Person{&b, &c}).Error)
	show("lookup", db.Where("email = ?", "a@x").First(&one).Error, one)
	show("by struct", db.Where(&Person{Email: "b@x", Age: 40}).Find(&some).Error, some)
	show("in", db.Model(&Person{}).Where("email IN ?", []string{"a@x", "c@x", "z"}).Order("id").Pluck("id", &ids).Error, ids)
	show("range", db.Model(&Person{}).Where("age > ? AND born BETWEEN ? AND ?", 30, a.Born, c.Born).Order("age DESC").Pluck("id", &ids).Error, ids)
	show("like", db.Model(&Person{}).Where("email LIKE ?", "%@x").Order("email DESC").Limit(2).Pluck("id", &ids).Error, ids)
	show("sum", db.Model(&Person{}).Select("sum(coalesce(salary, 0.0))").Scan(&number).Error, number)
	show("count", db.Model(&Person{}).Where("salary IS NULL OR active").Count(&count).Error, count)
	show("group", db.Model(&Person{}).Select("count(*)").Group("active").Having("min(age) > ?", 1).Order("active").Pluck("count", &ids).Error, ids)
	show("json", db.Model(&Person{}).Where("doc ->> 'n' = ?", "2").Pluck("id", &ids).Error, ids)
	show("time", db.Model(&Person{}).Where("seen = ?", b.Seen).Pluck("id", &ids).Error, ids)
	show("unique", db.Create(&Person{ID: 9, Email: "a@x", Doc: "{}"}).Error)
	again := person(9, "a@x", 7, 31)
	show("upsert", db.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "email"}}, DoUpdates: clause.AssignmentColumns([]string{"salary", "age"})}).Create(&again).Error)
	show("first or create", db.Where(Person{Email: "a@x"}).Attrs(Person{Age: 1}).FirstOrCreate(&one).Error, one)
	show("update", db.Model(&Person{}).Where("email = ?", "b@x").Updates(map[string]any{"age": gorm.Expr("age + ?", 1), "email": gorm.Expr("email || ?", "!")}).Error)
	c.Salary, c.Photo = a.Salary, nil
	show("save", db.Save(&c).Error)
	show("delete", db.Where("email = ?", "b@x!").Delete(&Person{}).Error)
	show("all", db.Order("id").Find(&some).Error, some)

	log := &ddl{Interface: logger.Default}
	must(db.Session(&gorm.Session{Logger: log}).AutoMigrate(&Person{}))
	for _, statement := range log.statements {
		fmt.Println("schema", statement)
	}
	show("after it", db.Order("id").Find(&some).Error, some)
}

const insert = "INSERT INTO person_go (id, email, age, born, seen, doc, photo, tags) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING email, age, born, seen, doc, photo, tags"

func new_table(run func(string) error) {
	must(run("DROP TABLE IF EXISTS person_go"))
	must(run(declared("CREATE TABLE person_go (id int8, email encrypted_text, age encrypted_int4, born encrypted_date, seen encrypted_timestamptz, doc encrypted_jsonb, photo encrypted_bytea, tags encrypted_text[])")))
	must(run(declared("CREATE UNIQUE INDEX person_go_email ON person_go (blind_index(email))")))
}

func with_pgx(uri string, mode pgx.QueryExecMode) {
	config, err := pgx.ParseConfig(uri)
	must(err)
	config.DefaultQueryExecMode = mode
	conn, err := pgx.ConnectConfig(ctx, config)
	must(err)
	defer conn.Close(ctx)
	new_table(func(text string) error { _, err := conn.Exec(ctx, text); return err })

	query := func(name, text string, values ...any) {
		rows, err := conn.Query(ctx, text, values...)
		if err != nil {
			show(mode.String()+" "+name, err)
			return
		}
		got, err := pgx.CollectRows(rows, pgx.RowToMap)
		var types []uint32
		for _, column := range rows.FieldDescriptions() {
			types = append(types, column.DataTypeOID)
		}
		show(mode.String()+" "+name, err, got, types)
	}
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	query("insert", insert, 1, "a@x", 30, day, day.Add(time.Hour).UTC(), `{"k": [1]}`, []byte("\x00\\"), []string{"red", "blue"})
	query("nulls", insert, 2, "b@x", nil, nil, nil, nil, nil, nil)
	query("any", "SELECT id FROM person_go WHERE email = ANY ($1::text[]) ORDER BY id", []string{"a@x", "b@x"})
	query("array", "SELECT id FROM person_go WHERE tags @> $1::text[] AND tags[1] = $2", []string{"blue"}, "red")
	query("row", "SELECT id FROM person_go WHERE (email, age) > ($1, $2) ORDER BY id", "a@x", 29)
	query("upsert", "INSERT INTO person_go (id, email, age) VALUES ($1, $2, $3) ON CONFLICT (email) DO UPDATE SET age = excluded.age + 1 RETURNING id, age", 3, "a@x", 50)
	query("unique", "INSERT INTO person_go (id, email) VALUES ($1, $2)", 4, "a@x")
	query("out of range", "INSERT INTO person_go (id, age) VALUES ($1, $2)", 5, int64(1)<<40)

	_, err = conn.CopyFrom(ctx, pgx.Identifier{"person_go"}, []string{"id", "email", "age", "born", "tags"}, pgx.CopyFromRows([][]any{
		{int64(10), "j@x", int32(1), day, []string{"x", "y"}}, {int64(11), "k@x", nil, day, nil}}))
	show(mode.String()+" copy", err)
	query("after it", "SELECT id, email, age, born, tags FROM person_go ORDER BY id")

	batch := &pgx.Batch{}
	for i := 0; i < 3; i++ {
		batch.Queue("UPDATE person_go SET age = $1 WHERE email = $2", i, "k@x")
	}
	show(mode.String()+" batch", conn.SendBatch(ctx, batch).Close())
}

func with_pq(uri string) {
	db, err := sql.Open("postgres", uri)
	must(err)
	new_table(func(text string) error { _, err := db.Exec(text); return err })
	var id int64
	var email, doc string
	var photo []byte
	var born, seen time.Time
	var age sql.NullInt32
	var tags pq.StringArray
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	row := db.QueryRow(insert, 1, "a@x", 30, day, day, `{"k": 1}`, []byte(`a\101`), pq.Array([]string{"red", `b"l`}))
	show("pq insert", row.Scan(&email, &age, &born, &seen, &doc, &photo, &tags), email, age, born.UTC(), seen.UTC(), doc, photo, tags)
	show("pq lookup", db.QueryRow("SELECT id FROM person_go WHERE email = $1 AND age < $2", "a@x", 31).Scan(&id), id)
	show("pq any", db.QueryRow("SELECT id FROM person_go WHERE email = ANY ($1)", pq.Array([]string{"z", "a@x"})).Scan(&id), id)
	show("pq unique", db.QueryRow("INSERT INTO person_go (id, email) VALUES (2, $1) RETURNING id", "a@x").Scan(&id))

	tx, err := db.Begin()
	must(err)
	copy_in, err := tx.Prepare(pq.CopyIn("person_go", "id", "email", "age", "photo"))
	must(err)
	_, err = copy_in.Exec(7, "g\t@x", 5, []byte{0, 1})
	must(err)
	_, err = copy_in.Exec()
	must(err)
	must(copy_in.Close())
	show("pq copy", tx.Commit())
	show("pq after it", db.QueryRow("SELECT email, age, photo FROM person_go WHERE id = 7").Scan(&email, &age, &photo), email, age, photo)
}

func main() {
	uri := fmt.Sprintf("host=%s port=%s user=%s dbname=%s sslmode=disable TimeZone=UTC", os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	if os.Args[5] == "plain" {
		declared = plain
	}
	with_gorm(uri)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		with_pgx(uri, mode)
	}
	with_pq(uri)
}
